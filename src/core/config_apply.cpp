#include <algorithm>
#include <set>

#include "core/config.h"
#include "core/error.h"

namespace vit22b {
namespace {

std::string type_of(const ConfigValue& value) {
  static constexpr const char* kNames[] = {"a boolean", "an integer", "a number", "a string",
                                           "a list of strings"};
  return kNames[value.value.index()];
}

/// throws  UsageError where a word is none of "a|b|c"; `what` names the field, and its place
void want_choice(const std::string& what, const std::string& word, const char* allowed) {
  const std::vector<std::string> choices = split(allowed, '|');
  if (std::find(choices.begin(), choices.end(), word) == choices.end())
    throw UsageError(what, " is '", word, "', want one of ", join(choices, ", "),
                     did_you_mean(word, choices));
}

/// Looks at the fields that are choices, and at no other.
class ChoiceChecker : public FieldVisitor {
 public:
  explicit ChoiceChecker(std::string prefix) : prefix_(std::move(prefix)) {}

  void field(const char*, bool&, const char*) override {}
  void field(const char*, int64_t&, const char*) override {}
  void field(const char*, double&, const char*) override {}
  void field(const char*, std::string&, const char*) override {}
  void field(const char*, std::vector<std::string>&, const char*) override {}
  void field(const char*, ImageSize&, const char*) override {}
  void field(const char*, Duration&, const char*) override {}
  void choice(const char* name, std::string& value, const char* allowed, const char*) override {
    want_choice(prefix_ + name, value, allowed);
  }
  void begin_section(const char* name) override { prefix_ += concat(name, "."); }
  void end_section() override { prefix_.erase(prefix_.find_last_of('.', prefix_.size() - 2) + 1); }

 private:
  std::string prefix_;
};

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
    if (!std::holds_alternative<std::vector<std::string>>(v->value) && is_text(*v))
      value = split(text(*v, name), ',');
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
    want_choice(concat(v->origin, ": '", path(name), "'"), given, allowed);
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
  /// Whether a string can be read from it.
  static bool is_text(const ConfigValue& v) {
    return std::holds_alternative<std::string>(v.value) || !v.typed.empty();
  }
  std::string text(const ConfigValue& v, const char* name) const {
    if (!v.typed.empty() && !std::holds_alternative<std::string>(v.value)) return v.typed;
    return get<std::string>(v, name, "a string");
  }

  const ConfigTree& tree_;
  std::vector<std::string> sections_;
  std::set<std::string> known_;
};

}  // namespace

void apply_config(const ConfigTree& tree, const Fields& fields) {
  Applier applier(tree);
  fields(applier);
  applier.reject_unknown();
}

void require_choices(const Fields& fields, const std::string& prefix) {
  ChoiceChecker checker(prefix);
  fields(checker);
}

}  // namespace vit22b
