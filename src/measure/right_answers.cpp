#include "measure/right_answers.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "measure/named_rows.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// Of two equal keys the last would win without a word.
Json read_json(const fs::path& file) {
  std::vector<std::set<std::string>> keys;
  const auto on_event = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second)
      throw DataError(file.string(), ": '", parsed.get<std::string>(), "' is there twice");
    return true;
  };
  Json json = Json::parse(read_text(file, ExitCode::kData, kLargestTable), on_event,
                          /*allow_exceptions=*/false);
  if (json.is_discarded()) throw DataError(file.string(), " is not JSON");
  return json;
}

/// An object of texts.
std::map<std::string, std::string> read_names(const fs::path& file) {
  const Json json = read_json(file);
  std::map<std::string, std::string> names;
  if (!json.is_object()) throw DataError(file.string(), ": want an object of names");
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string()) throw DataError(file.string(), ": '", key, "' is no text");
    names.emplace(key, value.get<std::string>());
  }
  return names;
}

int64_t class_number(const Json& value, int64_t num_classes, const std::string& place) {
  if (!value.is_number_integer() || value.get<double>() < 0 ||
      value.get<double>() >= static_cast<double>(num_classes))
    throw DataError(place, ": ", value.dump(), " is none of the model's ", num_classes,
                    " classes, 0 to ", num_classes - 1);
  return value.get<int64_t>();
}

/// A model's classes by both of their names.
class NamedClasses {
 public:
  explicit NamedClasses(const KnownClasses& known) : known_(known) {
    for (const auto* names : {&known.names, &known.other_names})
      for (size_t i = 0; i < names->size(); ++i)
        classes_[(*names)[i]].insert(static_cast<int64_t>(i));
  }
  /// The class of a name or a number.
  int64_t find(const Json& value, const std::string& place) const {
    if (!value.is_string()) return class_number(value, known_.count, place);
    const auto name = value.get<std::string>();
    const auto it = classes_.find(name);
    if (it == classes_.end())
      throw DataError(place, ": '", name, "' is none of the model's classes",
                      did_you_mean(name, known_.names));
    if (it->second.size() > 1)
      throw DataError(place, ": '", name, "' is what the model calls the classes ",
                      *it->second.begin(), " and ", *it->second.rbegin(), "; give a number");
    return *it->second.begin();
  }
  /// Those of a list, of one, or of names between "; ".
  std::vector<int64_t> find_all(const Json& value, const std::string& place) const {
    std::set<int64_t> found;
    if (value.is_array())
      for (const Json& one : value) found.insert(find(one, place));
    else if (value.is_string() && classes_.count(value.get<std::string>()) == 0)
      for (const std::string& name : split(value.get<std::string>(), ';'))
        found.insert(find(trim(name), place));
    else
      found.insert(find(value, place));
    return {found.begin(), found.end()};
  }

 private:
  const KnownClasses& known_;
  std::map<std::string, std::set<int64_t>> classes_;
};

using ClassSets = std::map<std::string, std::vector<int64_t>>;

ClassSets sets_of_json(const fs::path& file, const KnownClasses& known) {
  const Json json = read_json(file);
  if (!json.is_object())
    throw DataError(file.string(), ": want an object of the data's classes with the model's");
  const NamedClasses classes(known);
  ClassSets sets;
  for (const auto& [name, value] : json.items())
    sets.emplace(name, classes.find_all(value, concat(file.string(), ": ", name)));
  return sets;
}

// ObjectNet's folder says of each of its folders what the class is called, of some classes which of
// ImageNet's they are, by name, and of names which line they stand in, and of lines which class.
ClassSets sets_of_objectnet(const fs::path& folder, int64_t num_classes) {
  const fs::path names_file = folder / "imagenet_to_label_2012_v2",
                 lines_file = folder / "pytorch_to_imagenet_2012_id.json";
  std::map<int64_t, int64_t> class_of_line;
  const Json lines = read_json(lines_file);
  if (!lines.is_object()) throw DataError(lines_file.string(), ": want an object");
  for (const auto& [key, line] : lines.items()) {
    const Json number = Json::parse(key, nullptr, /*allow_exceptions=*/false);
    class_of_line[class_number(line, num_classes, lines_file.string())] =
        class_number(number, num_classes, lines_file.string());
  }
  std::map<std::string, int64_t> class_of_name;
  const std::vector<std::string> names =
      split(read_text(names_file, ExitCode::kData, kLargestTable), '\n');
  for (size_t line = 0; line < names.size(); ++line)
    if (const auto it = class_of_line.find(static_cast<int64_t>(line)); it != class_of_line.end())
      class_of_name[trim(names[line])] = it->second;
  const fs::path own_file = folder / "objectnet_to_imagenet_1k.json";
  const std::map<std::string, std::string> imagenet_names = read_names(own_file);
  ClassSets sets;
  for (const auto& [name, label] : read_names(folder / "folder_to_objectnet_label.json")) {
    const auto it = imagenet_names.find(label);
    if (it == imagenet_names.end()) continue;
    std::set<int64_t> classes;
    for (const std::string& part : split(it->second, ';')) {
      const auto found = class_of_name.find(trim(part));
      if (found == class_of_name.end())
        throw DataError(own_file.string(), ": '", trim(part), "' of '", label, "' is not in ",
                        names_file.string());
      classes.insert(found->second);
    }
    sets.emplace(name, std::vector<int64_t>(classes.begin(), classes.end()));
  }
  return sets;
}

RightAnswers by_sets(const DataSource& source, const std::string& place, const ClassSets& sets,
                     const fs::path& map) {
  RightAnswers right{.by = "class map"};
  const std::vector<std::string>& names = source.label_names();
  std::vector<int64_t> set_of_label;
  set_of_label.reserve(names.size());
  for (const std::string& name : names) {
    const auto it = sets.find(name);
    set_of_label.push_back(it == sets.end() ? -1 : std::ssize(right.sets));
    if (it != sets.end()) right.sets.push_back(it->second);
  }
  if (right.sets.empty()) throw DataError(map.string(), " has none of the classes of ", place);
  for (int64_t i = 0; i < source.size(); ++i) {
    const int64_t label = source.label(i);
    right.set_of.push_back(label < 0 || label >= std::ssize(set_of_label)
                               ? -1
                               : set_of_label[static_cast<size_t>(label)]);
  }
  return right;
}

/// The number that a file's name ends in; 0 for none.
int64_t trailing_number(const std::string& stem) {
  const size_t end = stem.find_last_not_of("0123456789");
  const char* first = stem.data() + (end == std::string::npos ? 0 : end + 1);
  int64_t number = 0;
  const auto [stop, error] = std::from_chars(first, stem.data() + stem.size(), number);
  return error == std::errc() ? number : 0;
}

const Json* classes_of_picture(const Json& json, const std::string& id) {
  const fs::path name = fs::path(id).filename();
  if (json.is_object()) {
    const auto it = json.find(name.string());
    return it == json.end() ? nullptr : &*it;
  }
  const int64_t number = trailing_number(name.stem().string());
  return number < 1 || number > std::ssize(json) ? nullptr : &json[static_cast<size_t>(number - 1)];
}

}  // namespace

std::vector<int64_t> RightAnswers::classes() const {
  std::set<int64_t> all;
  for (const int64_t set : set_of)
    if (set >= 0)
      all.insert(sets[static_cast<size_t>(set)].begin(), sets[static_cast<size_t>(set)].end());
  return {all.begin(), all.end()};
}

std::vector<int64_t> RightAnswers::samples() const {
  std::vector<int64_t> with;
  for (size_t i = 0; i < set_of.size(); ++i)
    if (set_of[i] >= 0) with.push_back(static_cast<int64_t>(i));
  return with;
}

RightAnswers right_by_class(const DataSource& source, const std::string& place,
                            const KnownClasses& known, const fs::path& map) {
  std::error_code error;
  if (fs::is_directory(map, error))
    return by_sets(source, place, sets_of_objectnet(map, known.count), map);
  if (map.extension() == ".json") return by_sets(source, place, sets_of_json(map, known), map);
  const DataClasses own = classes_of(source, place);
  const LabelMap labels = label_map(own, known, map.string());
  RightAnswers right{.by = labels.by};
  for (const int64_t one : labels.classes) right.sets.push_back({one});
  for (int64_t i = 0; i < source.size(); ++i) right.set_of.push_back(source.label(i));
  return right;
}

RightAnswers right_by_picture(const DataSource& source, const fs::path& file, int64_t num_classes) {
  const Json json = read_json(file);
  if (!json.is_array() && !json.is_object())
    throw DataError(file.string(), ": want a list of classes for each picture, or an object");
  RightAnswers right{.by = "picture"};
  for (int64_t i = 0; i < source.size(); ++i) {
    const std::string id = source.id(i);
    const Json* numbers = classes_of_picture(json, id);
    if (numbers == nullptr || !numbers->is_array())
      throw DataError(
          file.string(), " has no list of classes for ", id,
          json.is_array() ? "; a list goes by the number that a picture's name ends in" : "");
    std::set<int64_t> classes;
    for (const Json& number : *numbers)
      classes.insert(class_number(number, num_classes, concat(file.string(), ": ", id)));
    right.set_of.push_back(classes.empty() ? -1 : std::ssize(right.sets));
    if (!classes.empty()) right.sets.emplace_back(classes.begin(), classes.end());
  }
  return right;
}

}  // namespace vit22b
