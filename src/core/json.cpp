#include "core/json.h"

namespace vit22b {
namespace {

constexpr int kDeepest = 64;

}  // namespace

bool is_nested_too_deep(std::string_view json) {
  int depth = 0;
  bool is_in_string = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (is_in_string && c == '\\') {
      ++i;  // what it escapes, a quote too
    } else if (c == '"') {
      is_in_string = !is_in_string;
    } else if (!is_in_string && (c == '{' || c == '[')) {
      if (++depth > kDeepest) return true;
    } else if (!is_in_string && (c == '}' || c == ']')) {
      --depth;
    }
  }
  return false;
}

void check_json_nesting(std::string_view json, const std::string& place, ExitCode failure_code) {
  if (is_nested_too_deep(json))
    throw UserError(failure_code, place, ": its brackets are nested more than ", kDeepest, " deep");
}

}  // namespace vit22b
