#pragma once
#include <string>

namespace CLI {  // NOLINT(readability-identifier-naming): the library names itself so
class App;
}

namespace vit22b {

/// The manual page of the program and its commands, as man(7) has it.
std::string manual_page(const CLI::App& app);

}  // namespace vit22b
