#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/fields.h"

namespace vit22b {

/// One value as written by the user, and where: "FILE:LINE" or "command line".
struct ConfigValue {
  std::variant<bool, int64_t, double, std::string, std::vector<std::string>> value;
  std::string origin;
  /// On a command line the letters that were typed, which is what a string takes ("2024.10",
  /// "1e3").
  std::string typed = {};
};

/// A config before it meets its option struct: dotted path → value.
using ConfigTree = std::map<std::string, ConfigValue>;

/// Reads a TOML file; `include = ["other.toml"]` (relative to the file) is read first and
/// overridden by the rest.
///
/// throws  UsageError for a missing file, a syntax error (with line and column), an include cycle
/// or an unsupported type
ConfigTree read_config_file(const std::filesystem::path& path);

/// The same of a document in memory; `name` stands for its file in errors.
ConfigTree read_config_text(std::string_view text, const std::string& name);

/// Parses `a.b=c`; c is a TOML value, or else a bare string. What a string option gets is c as it
/// was typed, unless c stands in quotes.
///
/// throws  UsageError when there is no '=' or no key
void set_override(ConfigTree& tree, std::string_view assignment);

/// Writes the tree's values into the fields.
///
/// throws  UsageError for an unknown key (naming the nearest), a wrong type, a value that is not a
/// choice, or two units
///         of one duration; each names the key and its origin
void apply_config(const ConfigTree& tree, const Fields& fields);

/// Checks that each field that is a choice holds one of its words.
///
/// prefix  stands before a field's name in the text
/// throws  UsageError naming field, word and choices, and the nearest of them
void require_choices(const Fields& fields, const std::string& prefix = "");

/// A key with its current value as TOML text.
struct FieldText {
  std::string key;
  std::string value;  ///< "" for an unset duration
  std::string type;
  std::string help;
};

/// Every field in order, with its current value; durations appear once per set unit, or once as
/// NAME_steps when unset.
std::vector<FieldText> list_fields(const Fields& fields);

/// The fields as a TOML document that read_config_file gives back value for value (doubles with 17
/// digits).
std::string to_toml(const Fields& fields);

/// Keys whose values differ, as "key: old -> new"; durations and keys that start with an ignored
/// prefix are left out.
std::vector<std::string> config_difference(const ConfigTree& old_tree, const ConfigTree& new_tree,
                                           const std::vector<std::string>& ignored_prefixes);

/// A value as TOML text.
std::string to_toml_text(const ConfigValue& value);

}  // namespace vit22b
