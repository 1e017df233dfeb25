#pragma once
#include <string>
#include <string_view>

namespace vit22b {

/// The text with what a terminal would act on (control characters, also those of UTF-8, and bytes
/// that are no UTF-8) as "\xNN"; `kept` characters stay.
std::string printable(std::string_view text, std::string_view kept = "");

}  // namespace vit22b
