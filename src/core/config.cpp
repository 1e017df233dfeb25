#include "core/config.h"

#include <optional>
#include <set>

#include "core/error.h"

namespace vit22b {
/// What toml++ asserts of a text that it should refuse, such as "[#".
struct TomlAssertion {};
}  // namespace vit22b

#define TOML_EXCEPTIONS 1
#define TOML_ASSERT(expr) ((expr) ? static_cast<void>(0) : throw vit22b::TomlAssertion())
#include <toml++/toml.h>

#include "core/file.h"
#include "core/toml_text.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

ConfigValue convert(const toml::node& node, const std::string& key, const std::string& origin) {
  if (const auto* v = node.as_boolean()) return {v->get(), origin};
  if (const auto* v = node.as_integer()) return {v->get(), origin};
  if (const auto* v = node.as_floating_point()) return {v->get(), origin};
  if (const auto* v = node.as_string()) return {v->get(), origin};
  if (const auto* array = node.as_array()) {
    std::vector<std::string> texts;
    texts.reserve(array->size());
    for (const toml::node& element : *array) {
      if (const auto* integer = element.as_integer())
        texts.push_back(std::to_string(integer->get()));
      else if (const auto* text = element.as_string())
        texts.push_back(text->get());
      else
        throw UsageError(origin, ": '", key, "' may hold only strings or integers in its list");
    }
    return {texts, origin};
  }
  throw UsageError(origin, ": '", key,
                   "' has a type that no option takes (dates and lists of tables)");
}

void flatten(const toml::table& table, const std::string& prefix, const std::string& file,
             ConfigTree& out) {
  for (const auto& [name, node] : table) {
    const std::string key = prefix + std::string(name.str());
    if (const auto* inner = node.as_table()) {
      flatten(*inner, key + ".", file, out);
    } else {
      out.insert_or_assign(key, convert(node, key, concat(file, ":", node.source().begin.line)));
    }
  }
}

/// Puts a value over an earlier layer's: another unit of the same duration gives way.
void override_value(ConfigTree& tree, const std::string& key, ConfigValue value) {
  for (const char* ending : kDurationEndings) {
    if (!key.ends_with(ending)) continue;
    const std::string stem = key.substr(0, key.size() - std::string_view(ending).size());
    for (const char* other : kDurationEndings) tree.erase(stem + other);
  }
  tree.insert_or_assign(key, std::move(value));
}

/// throws  UsageError naming the place and what is wrong there
toml::table parse_toml(std::string_view text, const std::string& name) try {
  if (const auto fault = toml_fault(text)) throw UsageError(name, ":", *fault);
  return toml::parse(text, name);
} catch (const toml::parse_error& e) {
  throw UsageError(name, ":", e.source().begin.line, ":", e.source().begin.column, ": ",
                   std::string(e.description()));
} catch (const TomlAssertion&) {
  throw UsageError(name, " is no valid TOML: a key or a value is malformed");
}

ConfigTree read_file(const fs::path& path, std::set<fs::path>& open_files) {
  std::error_code error;
  const fs::path canonical = fs::canonical(path, error);
  if (error || !fs::is_regular_file(canonical))
    throw UsageError("config file ", path.string(),
                     " does not exist; give a TOML file, such as configs/train/fashion_mnist.toml");
  if (!open_files.insert(canonical).second)
    throw UsageError("config file ", path.string(), " includes itself");
  constexpr size_t kFileLimit = size_t{64} << 20;
  const toml::table table =
      parse_toml(read_text(canonical, ExitCode::kUsage, kFileLimit), path.string());
  ConfigTree tree;
  flatten(table, "", path.string(), tree);
  ConfigTree result;
  if (const auto include = tree.find("include"); include != tree.end()) {
    const auto* files = std::get_if<std::vector<std::string>>(&include->second.value);
    if (files == nullptr)
      throw UsageError(include->second.origin, ": include wants a list of file names");
    for (const std::string& file : *files)
      for (auto& [key, value] : read_file(canonical.parent_path() / file, open_files))
        override_value(result, key, value);
    tree.erase(include);
  }
  open_files.erase(canonical);
  // Two units in one file are kept, so that apply_config refuses them.
  ConfigTree merged = std::move(result);
  for (const auto& [key, value] : tree) override_value(merged, key, value);
  for (const auto& [key, value] : tree) merged.insert_or_assign(key, value);
  return merged;
}

/// A text as a TOML value; nothing where it is none, but a bare word, which needs no quotes on a
/// command line.
std::optional<ConfigValue> toml_value(const std::string& text, const std::string& key,
                                      const std::string& origin) {
  toml::table table;
  try {
    table = parse_toml("v = " + text, origin);
  } catch (const UsageError&) {
    return std::nullopt;
  }
  const toml::node* const node = table.get("v");
  if (table.size() != 1 || node->is_table() || node->is_date_time() || node->is_date() ||
      node->is_time())
    return std::nullopt;
  // A # belongs to a word; a comment ends no command line.
  const bool can_hold_any_letter = node->is_string() || node->is_array();
  if (!can_hold_any_letter && text.find('#') != std::string::npos) return std::nullopt;
  return convert(*node, key, origin);
}

bool is_duration_key(const std::string& key) {
  for (const char* ending : kDurationEndings)
    if (key.ends_with(ending)) return true;
  return false;
}

}  // namespace

ConfigTree read_config_file(const fs::path& path) {
  std::set<fs::path> open_files;
  return read_file(path, open_files);
}

ConfigTree read_config_text(std::string_view text, const std::string& name) {
  ConfigTree tree;
  flatten(parse_toml(text, name), "", name, tree);
  return tree;
}

void set_override(ConfigTree& tree, std::string_view assignment) {
  const size_t equals = assignment.find('=');
  if (equals == std::string_view::npos || equals == 0)
    throw UsageError("'", std::string(assignment),
                     "' is not an override; write key=value, such as optim.lr=1e-3");
  const std::string key = trim(assignment.substr(0, equals));
  std::string text(assignment.substr(equals + 1));
  if (text.starts_with(' ')) text = trim(text);  // key = value
  static const std::string kOrigin = "command line";
  ConfigValue value = toml_value(text, key, kOrigin).value_or(ConfigValue{text, kOrigin});
  value.typed = text;
  override_value(tree, key, std::move(value));
}

std::vector<std::string> config_difference(const ConfigTree& old_tree, const ConfigTree& new_tree,
                                           const std::vector<std::string>& ignored_prefixes) {
  std::set<std::string> keys;
  for (const auto& [key, value] : old_tree) keys.insert(key);
  for (const auto& [key, value] : new_tree) keys.insert(key);
  std::vector<std::string> lines;
  for (const std::string& key : keys) {
    const bool is_ignored = is_duration_key(key) ||
                            std::any_of(ignored_prefixes.begin(), ignored_prefixes.end(),
                                        [&](const std::string& p) { return key.starts_with(p); });
    if (is_ignored) continue;
    const auto text = [&](const ConfigTree& tree) {
      const auto it = tree.find(key);
      return it == tree.end() ? std::string("(unset)") : to_toml_text(it->second);
    };
    if (text(old_tree) != text(new_tree))
      lines.push_back(key + ": " + text(old_tree) + " -> " + text(new_tree));
  }
  return lines;
}

}  // namespace vit22b
