#include "data/transform_call.h"

#include <cmath>
#include <set>

#include "core/error.h"
#include "data/resample.h"
#include "data/sample.h"

namespace vit22b {
namespace {

std::string unquoted(const std::string& text) {
  const bool is_quoted = text.size() >= 2 && (text.front() == '"' || text.front() == '\'') &&
                         text.back() == text.front();
  return is_quoted ? text.substr(1, text.size() - 2) : text;
}

/// The parts between commas that stand in no quotes.
std::vector<std::string> arguments_of(const std::string& text) {
  if (text.empty()) return {};
  std::vector<std::string> parts(1);
  char quote = 0;
  for (const char c : text) {
    if (c == ',' && quote == 0) {
      parts.emplace_back();
      continue;
    }
    if (quote != 0 ? c == quote : c == '"' || c == '\'') quote = quote != 0 ? '\0' : c;
    parts.back() += c;
  }
  return parts;
}

std::vector<std::string> keys_of(const std::string& name, const std::string& text) {
  std::vector<std::string> keys;
  for (const std::string& part : split(text, ',')) keys.push_back(trim(part));
  const std::set<std::string> different(keys.begin(), keys.end());
  if (keys.empty() || different.size() < keys.size() || different.count("") > 0)
    throw UsageError("preprocessing: ", name, " has keys '", text,
                     "', want different names with commas between them");
  return keys;
}

}  // namespace

double TransformCall::number(size_t i, const char* what) const {
  try {
    size_t used = 0;
    const double value = std::stod(arguments.at(i), &used);
    if (used == arguments[i].size() && std::isfinite(value)) return value;
  } catch (const std::exception&) {
    // Told below: absent and malformed read the same to a person.
  }
  throw UsageError("preprocessing: ", name, " wants ", what, " as argument ", i + 1,
                   i < arguments.size() ? concat(", got '", arguments[i], "'") : std::string());
}

int64_t TransformCall::size(size_t i, const char* what) const {
  const double value = number(i, what);
  if (value < 1 || value > 65536 || value != std::floor(value))
    throw UsageError("preprocessing: ", name, " wants a whole number of pixels from 1 to 65536 as ",
                     what, ", got ", arguments[i]);
  return static_cast<int64_t>(value);
}

bool TransformCall::has_number(size_t i) const {
  return i < arguments.size() && arguments[i].find_first_not_of("0123456789.") == std::string::npos;
}

ResizeMethod TransformCall::method(size_t first) const {
  if (arguments.size() <= first) return {"bilinear"};
  const std::string& method = arguments[first];
  if (arguments.size() > first + 1) {
    if (arguments[first + 1] != "pil")
      throw UsageError("preprocessing: ", name, " knows the word pil behind its method, got '",
                       arguments[first + 1], "'");
    if (is_pil_method(method)) return {method, /*is_pil=*/true};
    throw UsageError("preprocessing: ", name, " knows PIL's methods nearest, box, bilinear, ",
                     "hamming, bicubic and lanczos, got '", method, "'");
  }
  if (method == "bilinear" || method == "bicubic") return {method};
  throw UsageError("preprocessing: ", name, " knows the methods bilinear and bicubic, got '",
                   method, "'", is_pil_method(method) ? "; PIL's is '" + method + ",pil'" : "");
}

void TransformCall::expect_at_most(size_t count) const {
  if (arguments.size() > count)
    throw UsageError("preprocessing: ", name, " takes at most ", count, " arguments, got ",
                     arguments.size());
}

TransformCall parse_transform_call(const std::string& text) {
  TransformCall call;
  std::string in_key = kImageField, out_key = kImageField;
  std::vector<std::string> keys;
  const size_t open = text.find('(');
  call.name = trim(text.substr(0, open));
  if (open == std::string::npos) return call;
  if (text.back() != ')')
    throw UsageError("preprocessing: '", text, "' lacks its closing parenthesis");
  for (const std::string& part : arguments_of(text.substr(open + 1, text.size() - open - 2))) {
    const std::string argument = trim(part);
    const size_t equals = argument.find('=');
    if (equals == std::string::npos) {
      call.arguments.push_back(unquoted(argument));
      continue;
    }
    const std::string key = trim(argument.substr(0, equals)),
                      value = unquoted(trim(argument.substr(equals + 1)));
    if (key == "key")
      in_key = out_key = value;
    else if (key == "inkey")
      in_key = value;
    else if (key == "outkey")
      out_key = value;
    else if (key == "keys")
      keys = keys_of(call.name, value);
    else
      throw UsageError("preprocessing: ", call.name, " has no option '", key,
                       "'; want inkey, outkey, key or keys");
  }
  if (keys.empty()) {
    call.keys = {in_key};
    if (out_key != in_key) call.out_key = out_key;
  } else if (in_key == kImageField && out_key == kImageField) {
    call.keys = keys;
  } else {
    throw UsageError("preprocessing: ", call.name, " has keys '", join(keys, ","),
                     "', beside which no other key stands");
  }
  return call;
}

}  // namespace vit22b
