#pragma once
#include <string>
#include <string_view>

namespace vit22b {

/// The text with what a terminal would act on (control characters, also those of UTF-8, and bytes
/// that are no UTF-8) as "\xNN"; `kept` characters stay.
std::string printable(std::string_view text, std::string_view kept = "");

/// A name from outside (a file's, a class's) for text on stdout: control characters are escaped
/// where that is a terminal.
std::string shown_name(const std::string& name);

}  // namespace vit22b
