#pragma once
#include <cmath>
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

/// The error of a value that is not what was wanted.
template <class Json>
auto wrong_value(const Json& json, const std::string& want) {
  constexpr int kTypeError = 302;  // nlohmann's number of get()'s errors
  return Json::type_error::create(kTypeError, json.dump() + " is not " + want, &json);
}

/// A number, or null where it is none: JSON has no NaN.
template <class Json>
Json number_or_null(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

/// A number without a fraction, which float64 holds; nlohmann's own conversion of others (1e300) is
/// undefined.
///
/// throws  Json::type_error
template <class T = int64_t, class Json>
T whole_number(const Json& json) {
  constexpr double kMost = int64_t{1} << 53;
  if (json.is_number_integer()) return json.template get<T>();
  const double value = json.template get<double>();
  if (!(value >= 0 - kMost && value <= kMost) ||
      value != static_cast<double>(static_cast<int64_t>(value)))
    throw wrong_value(json, "a whole number");
  return static_cast<T>(static_cast<int64_t>(value));
}

}  // namespace vit22b
