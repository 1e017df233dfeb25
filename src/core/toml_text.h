#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace vit22b {

/// What a TOML text has that must not reach its parser, with its line, for people; nothing for
/// other texts, valid or not.
///
/// Letters beyond ASCII outside quotes and comments, whose behaviour toml++ 3.3 leaves undefined,
/// and keys of more than 32 parts: some 10,000 tables in each other would end the process.
std::optional<std::string> toml_fault(std::string_view text);

}  // namespace vit22b
