#include "eval/label_map.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/error.h"
#include "core/log.h"
#include "data/class_names.h"
#include "data/derived_sources.h"
#include "eval/class_map.h"

namespace vit22b {
namespace {

bool is_used(const DataClasses& data, size_t label) {
  return label < data.has_samples.size() && data.has_samples[label];
}

/// "'a', 'b', 'c' and 7 more".
std::string some_of(const std::vector<std::string>& names) {
  constexpr size_t kShown = 3;
  std::vector<std::string> shown;
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i) shown.push_back("'" + names[i] + "'");
  return join(shown, ", ") +
         (names.size() > kShown ? concat(" and ", names.size() - kShown, " more") : "");
}

/// Known classes by either of their names.
class Index {
 public:
  explicit Index(const KnownClasses& known) {
    for (const auto* names : {&known.names, &known.other_names})
      for (size_t i = 0; i < names->size(); ++i)
        classes_[(*names)[i]].insert(static_cast<int64_t>(i));
  }
  /// Empty, one, or several of one name.
  std::set<int64_t> find(const std::string& name) const {
    const auto it = classes_.find(name);
    return it == classes_.end() ? std::set<int64_t>{} : it->second;
  }

 private:
  std::map<std::string, std::set<int64_t>> classes_;
};

std::vector<std::string> unknown_names(const DataClasses& data, const Index& index) {
  std::vector<std::string> unknown;
  for (size_t label = 0; label < data.names.size(); ++label)
    if (is_used(data, label) && index.find(data.names[label]).empty())
      unknown.push_back(data.names[label]);
  return unknown;
}

LabelMap map_by_name(const DataClasses& data, const KnownClasses& known, const Index& index) {
  if (const auto unknown = unknown_names(data, index); !unknown.empty())
    throw DataError(data.place, unknown.size() == 1 ? ": the class " : ": the classes ",
                    some_of(unknown), unknown.size() == 1 ? " is" : " are", " not among the ",
                    known.count, " classes of ", known.place,
                    did_you_mean(unknown.front(), known.names), known.hint);
  LabelMap map{.by = "name"};
  for (size_t label = 0; label < data.names.size(); ++label) {
    const std::set<int64_t> found = index.find(data.names[label]);
    if (found.size() > 1 && is_used(data, label))
      throw DataError(data.place, ": '", data.names[label], "' is what ", known.place,
                      " calls the classes ", *found.begin(), " and ", *found.rbegin(), known.hint);
    map.classes.push_back(found.empty() ? -1 : *found.begin());
  }
  return map;
}

LabelMap map_by_number(const DataClasses& data, const KnownClasses& known) {
  LabelMap map{.by = "number"};
  for (size_t label = 0; label < data.has_samples.size(); ++label) {
    const auto number = static_cast<int64_t>(label);
    if (number >= known.count && is_used(data, label))
      throw DataError(data.place, " has label ", label, ", but ", known.place, " has ", known.count,
                      " classes");
    map.classes.push_back(number < known.count ? number : -1);
  }
  return map;
}

LabelMap map_by_file(const DataClasses& data, const KnownClasses& known, const std::string& path) {
  const std::map<std::string, int64_t> classes = read_class_map(path);
  LabelMap map{.by = "class map"};
  for (size_t label = 0; label < data.has_samples.size(); ++label) {
    const std::string name = label < data.names.size() ? data.names[label] : std::to_string(label);
    const auto it = classes.find(name);
    if (it == classes.end() && is_used(data, label))
      throw DataError(path, " has no line for the class '", name, "' of ", data.place);
    if (it != classes.end() && it->second >= known.count)
      throw DataError(path, ": '", name, "' is class ", it->second, ", but ", known.place, " has ",
                      known.count);
    map.classes.push_back(it == classes.end() ? -1 : it->second);
  }
  return map;
}

}  // namespace

bool LabelMap::is_identity() const {
  for (size_t label = 0; label < classes.size(); ++label)
    if (classes[label] != static_cast<int64_t>(label)) return false;
  return true;
}

DataClasses classes_of(const DataSource& source, const std::string& place) {
  DataClasses classes{source.label_names(), std::vector<bool>(source.label_names().size()), place};
  for (int64_t i = 0; i < source.size(); ++i) {
    const int64_t label = source.label(i);
    if (label < 0)
      throw DataError(place,
                      " has no labels to be right about; want class folders, or a manifest "
                      "with the column `label`");
    if (static_cast<size_t>(label) >= classes.has_samples.size())
      classes.has_samples.resize(static_cast<size_t>(label) + 1);
    classes.has_samples[static_cast<size_t>(label)] = true;
  }
  return classes;
}

LabelMap label_map(const DataClasses& data, const KnownClasses& known,
                   const std::string& class_map) {
  if (!class_map.empty()) return map_by_file(data, known, class_map);
  if (are_numbers(data.names)) return map_by_number(data, known);
  const Index index(known);
  const bool has_names = !are_numbers(known.names) || !known.other_names.empty();
  if (has_names || unknown_names(data, index).empty()) return map_by_name(data, known, index);
  if (static_cast<int64_t>(data.names.size()) != known.count)
    throw DataError(data.place, " has ", data.names.size(), " named classes, ", known.place,
                    " has ", known.count, " without names", known.hint);
  log_warn(concat(known.place, " has no class names: the classes of ", data.place,
                  " are taken in their order", known.hint));
  LabelMap map = map_by_number(data, known);
  map.by = "order";
  return map;
}

std::shared_ptr<const DataSource> in_known_classes(std::shared_ptr<const DataSource> source,
                                                   const LabelMap& map, const KnownClasses& known) {
  std::vector<std::string> names = known.names;
  for (auto i = static_cast<int64_t>(names.size()); i < known.count; ++i)
    names.push_back(std::to_string(i));
  if (are_numbers(names)) {  // the data's are better than none
    for (size_t label = 0; label < source->label_names().size(); ++label)
      if (map.classes.at(label) >= 0)
        names[static_cast<size_t>(map.classes[label])] = source->label_names()[label];
  }
  if (map.is_identity() && names == source->label_names()) return source;
  return make_relabelled(std::move(source), map.classes, std::move(names));
}

std::vector<int64_t> classes_in_use(const DataClasses& data, const LabelMap& map) {
  std::set<int64_t> classes;
  for (size_t label = 0; label < map.classes.size(); ++label)
    if (is_used(data, label)) classes.insert(map.classes[label]);
  return {classes.begin(), classes.end()};
}

}  // namespace vit22b
