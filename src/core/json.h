#pragma once
#include <string>
#include <string_view>

#include "core/error.h"

namespace vit22b {

/// Whether the brackets of a JSON text are nested deeper than any honest file's (64): a tree of
/// some 100,000 levels would end the process where it is copied or printed.
bool is_nested_too_deep(std::string_view json);

/// throws  UserError with the code given, naming the place, where is_nested_too_deep
void check_json_nesting(std::string_view json, const std::string& place, ExitCode failure_code);

/// Parses a JSON text that comes from outside; Json is one of nlohmann's.
///
/// throws  as check_json_nesting; Json::exception
template <class Json>
Json parse_json(std::string_view text, const std::string& place, ExitCode failure_code) {
  check_json_nesting(text, place, failure_code);
  return Json::parse(text);
}

/// The same of a line that may be torn: one that is no JSON is no object, no number and no array.
template <class Json>
Json parse_json_line(std::string_view line) {
  if (is_nested_too_deep(line)) return Json(Json::value_t::discarded);
  return Json::parse(line, nullptr, /*allow_exceptions=*/false);
}

}  // namespace vit22b
