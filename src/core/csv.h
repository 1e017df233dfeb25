#pragma once
#include <string>

namespace vit22b {

/// A text as one field of a comma-separated table: in quotes where it has to be (RFC 4180).
std::string csv_field(const std::string& text);

}  // namespace vit22b
