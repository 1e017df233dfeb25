#include <charconv>
#include <cmath>
#include <cstdio>

#include "core/config.h"
#include "core/text.h"

namespace vit22b {
namespace {

std::string quote(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
      out += code;
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string number_text(double value) {
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  if (std::isnan(value)) return "nan";
  char buffer[32];
  // The shortest text that reads back as the same double: up to 17 digits.
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  std::string text(buffer, end);
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

std::string list_text(const std::vector<std::string>& values) {
  std::vector<std::string> quoted;
  quoted.reserve(values.size());
  for (const std::string& value : values) quoted.push_back(quote(value));
  return "[" + join(quoted, ", ") + "]";
}

class Lister : public FieldVisitor {
 public:
  void field(const char* name, bool& value, const char* help) override {
    add(name, value ? "true" : "false", "boolean", help);
  }
  void field(const char* name, int64_t& value, const char* help) override {
    add(name, std::to_string(value), "integer", help);
  }
  void field(const char* name, double& value, const char* help) override {
    add(name, number_text(value), "number", help);
  }
  void field(const char* name, std::string& value, const char* help) override {
    add(name, quote(value), "string", help);
  }
  void field(const char* name, std::vector<std::string>& value, const char* help) override {
    add(name, list_text(value), "list", help);
  }
  void field(const char* name, ImageSize& value, const char* help) override {
    const bool is_square = value.height == value.width;
    add(name,
        is_square ? std::to_string(value.height) : quote(concat(value.height, "x", value.width)),
        "size", help);
  }
  void field(const char* name, Duration& value, const char* help) override {
    const int unit = value.is_set() ? static_cast<int>(value.unit) - 1 : 0;
    add(std::string(name) + kDurationEndings[unit], value.is_set() ? number_text(value.value) : "",
        "duration", help);
  }
  void choice(const char* name, std::string& value, const char* allowed,
              const char* help) override {
    add(name, quote(value), allowed, help);
  }
  void begin_section(const char* name) override { prefix_.emplace_back(name); }
  void end_section() override { prefix_.pop_back(); }

  std::vector<FieldText> take() { return std::move(fields_); }

 private:
  void add(const std::string& name, std::string value, const std::string& type, const char* help) {
    fields_.push_back(
        {prefix_.empty() ? name : join(prefix_, ".") + "." + name, std::move(value), type, help});
  }
  std::vector<std::string> prefix_;
  std::vector<FieldText> fields_;
};

}  // namespace

std::vector<FieldText> list_fields(const Fields& fields) {
  Lister lister;
  fields(lister);
  return lister.take();
}

std::string to_toml(const Fields& fields) {
  std::string out;
  for (const FieldText& f : list_fields(fields))
    if (!f.value.empty()) out += f.key + " = " + f.value + "\n";
  return out;
}

std::string to_toml_text(const ConfigValue& value) {
  return std::visit(
      [](const auto& v) -> std::string {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, bool>) return v ? "true" : "false";
        if constexpr (std::is_same_v<T, int64_t>) return std::to_string(v);
        if constexpr (std::is_same_v<T, double>) return number_text(v);
        if constexpr (std::is_same_v<T, std::string>) return quote(v);
        if constexpr (std::is_same_v<T, std::vector<std::string>>) return list_text(v);
      },
      value.value);
}

}  // namespace vit22b
