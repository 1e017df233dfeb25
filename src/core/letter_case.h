#pragma once
#include <string>

namespace vit22b {

/// The text with A to Z as a to z; other letters stay.
std::string ascii_lower_case(std::string text);

}  // namespace vit22b
