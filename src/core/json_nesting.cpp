#include "core/json_nesting.h"

#include "core/error.h"

namespace vit22b {

void check_json_nesting(std::string_view json, const std::string& place) {
  constexpr int kDeepest = 64;
  int depth = 0;
  bool is_in_string = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (is_in_string && c == '\\') {
      ++i;  // what it escapes, a quote too
    } else if (c == '"') {
      is_in_string = !is_in_string;
    } else if (!is_in_string && (c == '{' || c == '[')) {
      if (++depth > kDeepest)
        throw CheckpointError(place, ": its brackets are nested more than ", kDeepest, " deep");
    } else if (!is_in_string && (c == '}' || c == ']')) {
      --depth;
    }
  }
}

}  // namespace vit22b
