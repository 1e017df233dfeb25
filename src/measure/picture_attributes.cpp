#include "measure/picture_attributes.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <sstream>

#include "core/error.h"
#include "core/file.h"
#include "core/rng.h"
#include "core/text.h"
#include "measure/named_rows.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using Part = PictureAttributes::Part;

constexpr const char* kPictureColumns[] = {"filepath", "image_id", "file_name",
                                           "filename", "path",     "image"};
constexpr const char* kPartColumns[] = {"split", "partition"};

/// "" where there is none.
template <size_t kCount>
std::string column_among(const NamedRows& rows, const char* const (&names)[kCount]) {
  for (const char* name : names)
    if (rows.has(name)) return name;
  return "";
}

std::string picture_column(const NamedRows& rows, const std::string& place) {
  std::string column = column_among(rows, kPictureColumns);
  if (column.empty())
    throw DataError(place, " has no column of pictures; want one of ",
                    join({std::begin(kPictureColumns), std::end(kPictureColumns)}, ", "));
  return column;
}

Part part_of(const std::string& text, const std::string& where) {
  static const std::map<std::string, Part> kWords = {
      {"0", Part::kTrain},   {"train", Part::kTrain},    {"1", Part::kFit},  {"val", Part::kFit},
      {"valid", Part::kFit}, {"validation", Part::kFit}, {"2", Part::kTest}, {"test", Part::kTest}};
  const auto it = kWords.find(text);
  if (it == kWords.end())
    throw DataError(where, ": '", text, "' is no part; want 0, 1, 2, or train, val, test");
  return it->second;
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

bool is_number(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](unsigned char c) { return std::isdigit(c) != 0; });
}

size_t place_of(const std::vector<std::string>& names, const std::string& name,
                const std::string& place, const char* option) {
  const auto it = std::find(names.begin(), names.end(), name);
  if (it == names.end())
    throw DataError(place, " has no attribute '", name, "'", did_you_mean(name, names),
                    "; say which with ", option);
  return static_cast<size_t>(it - names.begin());
}

PictureAttributes read_celeba(const std::string& text, const std::string& place,
                              const std::string& label, const std::string& group) {
  std::istringstream lines(text);
  std::string count, line;
  std::getline(lines, count);
  std::getline(lines, line);
  const std::vector<std::string> names = words_of(line);
  const size_t label_at = place_of(names, label, place, "--label"),
               group_at = place_of(names, group, place, "--group");
  PictureAttributes attributes{.place = place};
  for (int64_t number = 3; std::getline(lines, line); ++number) {
    const std::vector<std::string> words = words_of(line);
    if (words.empty()) continue;
    const std::string where = concat(place, ":", number);
    if (words.size() != names.size() + 1)
      throw DataError(where, ": ", words.size(), " words, want ", names.size() + 1);
    attributes.pictures.push_back(words[0]);
    attributes.labels.push_back(truth_of(words[label_at + 1], where, label));
    attributes.groups.push_back(words[group_at + 1]);
  }
  if (trim(count) != std::to_string(attributes.size()))
    throw DataError(place, " says that it has ", trim(count), " pictures, and has ",
                    attributes.size(), "; is it cut off?");
  return attributes;
}

PictureAttributes read_table(const std::string& text, const fs::path& file,
                             const std::string& label, const std::string& group) {
  NamedRows rows(without_byte_order_mark(text), file.extension() == ".tsv" ? '\t' : ',',
                 file.string());
  const std::string pictures = picture_column(rows, file.string()),
                    parts = column_among(rows, kPartColumns);
  rows.want(label, "--label");
  rows.want(group, "--group");
  PictureAttributes attributes{.place = file.string()};
  if (!parts.empty()) attributes.parts_by = concat("column ", parts);
  while (rows.next()) {
    attributes.pictures.push_back(rows.value(pictures));
    attributes.labels.push_back(truth_of(rows.value(label), rows.where(), label));
    attributes.groups.push_back(rows.value(group));
    if (attributes.groups.back().empty())
      throw DataError(rows.where(), ": ", group, " is empty; leave rows without out");
    if (!parts.empty()) attributes.parts.push_back(part_of(rows.value(parts), rows.where()));
  }
  return attributes;
}

void add_part(const std::string& picture, Part part, const std::string& where,
              std::map<std::string, Part>& parts) {
  if (!parts.emplace(picture, part).second)
    throw DataError(where, ": the picture ", picture, " is there twice");
}

std::map<std::string, Part> parts_in(const fs::path& file) {
  const std::string text = read_text(file, ExitCode::kData, kLargestTable);
  std::map<std::string, Part> parts;
  if (file.extension() == ".csv" || file.extension() == ".tsv") {
    NamedRows rows(without_byte_order_mark(text), file.extension() == ".tsv" ? '\t' : ',',
                   file.string());
    const std::string pictures = picture_column(rows, file.string()),
                      column = column_among(rows, kPartColumns);
    if (column.empty()) throw DataError(file.string(), " has no column `split` or `partition`");
    while (rows.next())
      add_part(rows.value(pictures), part_of(rows.value(column), rows.where()), rows.where(),
               parts);
    return parts;
  }
  std::istringstream lines(text);
  std::string line;
  for (int64_t number = 1; std::getline(lines, line); ++number) {
    const std::vector<std::string> words = words_of(line);
    if (words.empty()) continue;
    const std::string where = concat(file.string(), ":", number);
    if (words.size() != 2) throw DataError(where, ": want a picture and its part");
    add_part(words[0], part_of(words[1], where), where, parts);
  }
  return parts;
}

}  // namespace

std::vector<int64_t> PictureAttributes::rows(Part part) const {
  std::vector<int64_t> rows;
  for (size_t i = 0; i < parts.size(); ++i)
    if (parts[i] == part) rows.push_back(static_cast<int64_t>(i));
  return rows;
}

PictureAttributes read_picture_attributes(const fs::path& file, const std::string& label,
                                          const std::string& group) {
  const std::string whole = read_text(file, ExitCode::kData, kLargestTable);
  const std::string text(without_byte_order_mark(whole));
  const bool is_celeba = is_number(trim(text.substr(0, text.find('\n'))));
  PictureAttributes attributes = is_celeba ? read_celeba(text, file.string(), label, group)
                                           : read_table(text, file, label, group);
  if (attributes.pictures.empty()) throw DataError(file.string(), " has no pictures");
  std::set<std::string> seen;
  for (const std::string& picture : attributes.pictures)
    if (!seen.insert(picture).second)
      throw DataError(file.string(), ": the picture ", picture, " is there twice");
  return attributes;
}

void read_partition(const fs::path& file, PictureAttributes& attributes) {
  const std::map<std::string, Part> parts = parts_in(file);
  attributes.parts.clear();
  attributes.parts_by = file.string();
  for (const std::string& picture : attributes.pictures) {
    const auto it = parts.find(picture);
    if (it == parts.end()) throw DataError(file.string(), " has not the picture ", picture);
    attributes.parts.push_back(it->second);
  }
}

void draw_parts(PictureAttributes& attributes, uint64_t seed) {
  const auto count = static_cast<uint64_t>(attributes.size());
  const RandomPermutation order(count, seed, "fairness/parts");
  attributes.parts.assign(attributes.pictures.size(), Part::kTrain);
  for (uint64_t i = 0; i < count / 2; ++i)
    attributes.parts[order(i)] = i < count / 4 ? Part::kFit : Part::kTest;
  attributes.parts_by = concat("drawn, half to train, seed ", seed);
}

}  // namespace vit22b
