#include "measure/defined_number.h"

#include <cmath>

#include "core/text.h"

namespace vit22b {
namespace {

std::string shown(double value) {
  return std::isnan(value) ? "undefined" : formatted("%.4f", value);
}

std::string padded(std::string text, size_t width) {
  if (text.size() < width) text.resize(width, ' ');
  return text + "  ";
}

}  // namespace

void add_defined(Result& result, ResultNumber number, const std::string& definition) {
  const std::string& name = number.metric.name;
  result.settings.emplace_back("definitions." + name, definition);
  std::string value = number.is_count ? concat(std::llround(number.value)) : shown(number.value);
  if (number.interval)
    value += concat(" (", shown(number.interval->low), " to ", shown(number.interval->high), ")");
  constexpr size_t kNameWidth = 24, kValueWidth = 25;
  result.lines += concat(padded(name, kNameWidth), padded(value, kValueWidth), definition, "\n");
  result.numbers.push_back(std::move(number));
}

}  // namespace vit22b
