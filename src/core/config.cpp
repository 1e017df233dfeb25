#include "core/config.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <set>
#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

#include "core/error.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

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
  for (const std::string& value : values) quoted.push_back(quote(value));
  return "[" + join(quoted, ", ") + "]";
}

ConfigValue convert(const toml::node& node, const std::string& key, const std::string& origin) {
  if (const auto* v = node.as_boolean()) return {v->get(), origin};
  if (const auto* v = node.as_integer()) return {v->get(), origin};
  if (const auto* v = node.as_floating_point()) return {v->get(), origin};
  if (const auto* v = node.as_string()) return {v->get(), origin};
  if (const auto* array = node.as_array()) {
    std::vector<std::string> texts;
    for (const toml::node& element : *array) {
      if (const auto* integer = element.as_integer())
        texts.push_back(std::to_string(integer->get()));
      else if (const auto* text = element.as_string())
        texts.push_back(text->get());
      else
        throw UsageError(origin, ": '", key, "' may hold only strings or integers in its list");
    }
    return {texts, origin};
  }
  throw UsageError(origin, ": '", key,
                   "' has a type that no option takes (dates and lists of tables)");
}

void flatten(const toml::table& table, const std::string& prefix, const std::string& file,
             ConfigTree& out) {
  for (const auto& [name, node] : table) {
    const std::string key = prefix + std::string(name.str());
    if (const auto* inner = node.as_table()) {
      flatten(*inner, key + ".", file, out);
    } else {
      out.insert_or_assign(key, convert(node, key, concat(file, ":", node.source().begin.line)));
    }
  }
}

/// Puts a value over an earlier layer's: another unit of the same duration gives way.
void override_value(ConfigTree& tree, const std::string& key, ConfigValue value) {
  for (const char* ending : kDurationEndings) {
    if (!key.ends_with(ending)) continue;
    const std::string stem = key.substr(0, key.size() - std::string_view(ending).size());
    for (const char* other : kDurationEndings) tree.erase(stem + other);
  }
  tree.insert_or_assign(key, std::move(value));
}

ConfigTree read_file(const fs::path& path, std::set<fs::path>& open_files) {
  std::error_code error;
  const fs::path canonical = fs::canonical(path, error);
  if (error || !fs::is_regular_file(canonical))
    throw UsageError("config file ", path.string(),
                     " does not exist; give a TOML file, such as configs/train/fashion_mnist.toml");
  if (!open_files.insert(canonical).second)
    throw UsageError("config file ", path.string(), " includes itself");
  toml::table table;
  try {
    table = toml::parse_file(canonical.string());
  } catch (const toml::parse_error& e) {
    throw UsageError(path.string(), ":", e.source().begin.line, ":", e.source().begin.column, ": ",
                     std::string(e.description()));
  }
  ConfigTree tree;
  flatten(table, "", path.string(), tree);
  ConfigTree result;
  if (const auto include = tree.find("include"); include != tree.end()) {
    const auto* files = std::get_if<std::vector<std::string>>(&include->second.value);
    if (files == nullptr)
      throw UsageError(include->second.origin, ": include wants a list of file names");
    for (const std::string& file : *files)
      for (auto& [key, value] : read_file(canonical.parent_path() / file, open_files))
        override_value(result, key, value);
    tree.erase(include);
  }
  open_files.erase(canonical);
  // Two units in one file are kept, so that apply_config refuses them.
  ConfigTree merged = std::move(result);
  for (const auto& [key, value] : tree) override_value(merged, key, value);
  for (const auto& [key, value] : tree) merged.insert_or_assign(key, value);
  return merged;
}

std::string type_of(const ConfigValue& value) {
  static constexpr const char* kNames[] = {"a boolean", "an integer", "a number", "a string",
                                           "a list of strings"};
  return kNames[value.value.index()];
}

/// Reads values out of a tree, keeping track of the keys that exist.
class Applier : public FieldVisitor {
 public:
  explicit Applier(const ConfigTree& tree) : tree_(tree) {}

  void field(const char* name, bool& value, const char*) override {
    if (const auto* v = find(name)) value = get<bool>(*v, name, "a boolean (true or false)");
  }
  void field(const char* name, int64_t& value, const char*) override {
    if (const auto* v = find(name)) value = get<int64_t>(*v, name, "an integer");
  }
  void field(const char* name, double& value, const char*) override {
    if (const auto* v = find(name)) value = number(*v, name);
  }
  void field(const char* name, std::string& value, const char*) override {
    if (const auto* v = find(name)) value = text(*v, name);
  }
  void field(const char* name, std::vector<std::string>& value, const char*) override {
    const auto* v = find(name);
    if (v == nullptr) return;
    if (const auto* one = std::get_if<std::string>(&v->value))
      value = split(*one, ',');
    else
      value = get<std::vector<std::string>>(*v, name, "a list of strings");
  }
  void field(const char* name, ImageSize& value, const char*) override {
    const auto* v = find(name);
    if (v == nullptr) return;
    if (const auto* side = std::get_if<int64_t>(&v->value)) {
      value = {*side, *side};
      return;
    }
    std::vector<std::string> sides;
    if (const auto* list = std::get_if<std::vector<std::string>>(&v->value)) sides = *list;
    if (const auto* text = std::get_if<std::string>(&v->value)) sides = split(*text, 'x');
    const auto is_number = [](const std::string& s) {
      return !s.empty() && s.size() < 10 && s.find_first_not_of("0123456789") == std::string::npos;
    };
    if (sides.size() != 2 || !is_number(sides[0]) || !is_number(sides[1]))
      throw UsageError(v->origin, ": '", path(name), "' is ", to_toml_text(*v),
                       ", want a number, \"HEIGHTxWIDTH\" or [height, width]");
    value = {std::stoll(sides[0]), std::stoll(sides[1])};
  }
  void field(const char* name, Duration& value, const char*) override {
    const ConfigValue* seen = nullptr;
    for (int unit = 0; unit < 4; ++unit) {
      const std::string key = std::string(name) + kDurationEndings[unit];
      const auto* v = find(key.c_str());
      if (v == nullptr) continue;
      if (seen != nullptr)
        throw UsageError(v->origin, ": '", path(key), "' and another unit of '", path(name), "' (",
                         seen->origin, ") are both set; keep one");
      seen = v;
      value = {number(*v, key.c_str()), static_cast<Duration::Unit>(unit + 1)};
      if (!(value.value >= 0))
        throw UsageError(v->origin, ": '", path(key), "' must not be negative");
    }
  }
  void choice(const char* name, std::string& value, const char* allowed, const char*) override {
    const auto* v = find(name);
    if (v == nullptr) return;
    const std::string given = text(*v, name);
    const std::vector<std::string> choices = split(allowed, '|');
    if (std::find(choices.begin(), choices.end(), given) == choices.end())
      throw UsageError(v->origin, ": '", path(name), "' is '", given, "', want one of ",
                       join(choices, ", "), did_you_mean(given, choices));
    value = given;
  }
  void begin_section(const char* name) override { sections_.emplace_back(name); }
  void end_section() override { sections_.pop_back(); }

  void reject_unknown() const {
    for (const auto& [key, value] : tree_)
      if (known_.count(key) == 0)
        throw UsageError(value.origin, ": unknown key '", key, "'",
                         did_you_mean(key, {known_.begin(), known_.end()}),
                         "; `vit22b config show` lists all keys");
  }

 private:
  std::string path(const std::string& name) const {
    return sections_.empty() ? name : join(sections_, ".") + "." + name;
  }
  const ConfigValue* find(const char* name) {
    const std::string key = path(name);
    known_.insert(key);
    const auto it = tree_.find(key);
    return it == tree_.end() ? nullptr : &it->second;
  }
  template <class T>
  T get(const ConfigValue& v, const char* name, const char* want) const {
    if (const T* value = std::get_if<T>(&v.value)) return *value;
    throw UsageError(v.origin, ": '", path(name), "' is ", type_of(v), " (", to_toml_text(v),
                     "), want ", want);
  }
  double number(const ConfigValue& v, const char* name) const {
    if (const auto* integer = std::get_if<int64_t>(&v.value)) return static_cast<double>(*integer);
    return get<double>(v, name, "a number");
  }
  std::string text(const ConfigValue& v, const char* name) const {
    if (v.origin == "command line" && !std::holds_alternative<std::string>(v.value))
      return to_toml_text(v);
    return get<std::string>(v, name, "a string");
  }

  const ConfigTree& tree_;
  std::vector<std::string> sections_;
  std::set<std::string> known_;
};

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

bool is_duration_key(const std::string& key) {
  for (const char* ending : kDurationEndings)
    if (key.ends_with(ending)) return true;
  return false;
}

}  // namespace

ConfigTree read_config_file(const fs::path& path) {
  std::set<fs::path> open_files;
  return read_file(path, open_files);
}

void set_override(ConfigTree& tree, std::string_view assignment) {
  const size_t equals = assignment.find('=');
  if (equals == std::string_view::npos || equals == 0)
    throw UsageError("'", std::string(assignment),
                     "' is not an override; write key=value, such as optim.lr=1e-3");
  const std::string key = trim(assignment.substr(0, equals));
  const std::string text = trim(assignment.substr(equals + 1));
  static const std::string kOrigin = "command line";
  try {
    const toml::table table = toml::parse("v = " + text);
    if (table.size() == 1 && !table["v"].is_table() && !table["v"].is_date_time() &&
        !table["v"].is_date() && !table["v"].is_time()) {
      override_value(tree, key, convert(*table.get("v"), key, kOrigin));
      return;
    }
  } catch (const toml::parse_error&) {
    // Not a TOML value: a bare word, which needs no quotes on a command line.
  }
  override_value(tree, key, ConfigValue{text, kOrigin});
}

void apply_config(const ConfigTree& tree, const Fields& fields) {
  Applier applier(tree);
  fields(applier);
  applier.reject_unknown();
}

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

std::vector<std::string> config_difference(const ConfigTree& old_tree, const ConfigTree& new_tree,
                                           const std::vector<std::string>& ignored_prefixes) {
  std::set<std::string> keys;
  for (const auto& [key, value] : old_tree) keys.insert(key);
  for (const auto& [key, value] : new_tree) keys.insert(key);
  std::vector<std::string> lines;
  for (const std::string& key : keys) {
    const bool is_ignored = is_duration_key(key) ||
                            std::any_of(ignored_prefixes.begin(), ignored_prefixes.end(),
                                        [&](const std::string& p) { return key.starts_with(p); });
    if (is_ignored) continue;
    const auto text = [&](const ConfigTree& tree) {
      const auto it = tree.find(key);
      return it == tree.end() ? std::string("(unset)") : to_toml_text(it->second);
    };
    if (text(old_tree) != text(new_tree))
      lines.push_back(key + ": " + text(old_tree) + " -> " + text(new_tree));
  }
  return lines;
}

}  // namespace vit22b
