#include "measure/named_rows.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "core/error.h"
#include "core/text.h"

namespace vit22b {

NamedRows::NamedRows(std::string_view text, char separator, std::string place)
    : place_(std::move(place)), reader_(text, separator, place_) {
  const auto header = reader_.next();
  if (!header) throw DataError(place_, " is empty");
  for (const std::string& name : *header) {
    if (has(trim(name))) throw DataError(place_, " has two columns '", trim(name), "'");
    names_.push_back(trim(name));
  }
}

bool NamedRows::has(const std::string& column) const {
  return std::find(names_.begin(), names_.end(), column) != names_.end();
}

void NamedRows::want(const std::string& column, const char* option) const {
  if (!has(column))
    throw DataError(place_, " has no column '", column, "'", did_you_mean(column, names_),
                    "; it has ", join(names_, ", "), "; say which with ", option);
}

bool NamedRows::next() {
  row_ = reader_.next();
  if (row_ && row_->size() != names_.size())
    throw DataError(where(), ": ", row_->size(), " fields, want ", names_.size());
  return row_.has_value();
}

std::string NamedRows::value(const std::string& column) const {
  const auto it = std::find(names_.begin(), names_.end(), column);
  return trim(row_->at(static_cast<size_t>(it - names_.begin())));
}

std::string NamedRows::where() const {
  return concat(place_, ":", reader_.line());
}

bool truth_of(const std::string& text, const std::string& where, const std::string& column) {
  std::string word = text;
  for (char& c : word) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  static const std::map<std::string, bool> kWords = {
      {"1", true},      {"0", false},  {"-1", false}, {"true", true},
      {"false", false}, {"yes", true}, {"no", false}};
  const auto it = kWords.find(word);
  if (it == kWords.end())
    throw DataError(where, ": ", column, " is '", text,
                    "', want 0 or 1, -1 or 1, true or false, yes or no; leave rows without out");
  return it->second;
}

NumberedGroups number_groups(const std::vector<std::string>& groups) {
  NumberedGroups numbered{groups, {}};
  std::vector<std::string>& names = numbered.names;
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  numbered.numbers.reserve(groups.size());
  for (const std::string& group : groups)
    numbered.numbers.push_back(std::lower_bound(names.begin(), names.end(), group) - names.begin());
  return numbered;
}

}  // namespace vit22b
