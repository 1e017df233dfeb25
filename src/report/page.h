#pragma once
#include <string>

namespace vit22b {

/// An HTML document in the reports' style, light or dark as the reader's system is: nothing in it
/// is fetched or run.
///
/// title  plain text
std::string html_page(const std::string& title, const std::string& body);

/// A text as it is, or its beginning and how long it is.
std::string shortened(const std::string& text, size_t longest);

}  // namespace vit22b
