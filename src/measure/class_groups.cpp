#include "measure/class_groups.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "core/error.h"
#include "core/file.h"
#include "measure/named_rows.h"
#include "metrics/interval.h"
#include "metrics/undefined.h"

namespace vit22b {
namespace {

std::map<std::string, std::string> read_groups(const std::filesystem::path& file) {
  const std::string text = read_text_or_pipe(file.string(), ExitCode::kData, kLargestTable);
  NamedRows rows(without_byte_order_mark(text), file.extension() == ".tsv" ? '\t' : ',',
                 file.string());
  rows.want("class", "a header `class,group`");
  rows.want("group", "a header `class,group`");
  std::map<std::string, std::string> groups;
  while (rows.next())
    if (!groups.emplace(rows.value("class"), rows.value("group")).second)
      throw DataError(rows.where(), ": '", rows.value("class"), "' is there twice");
  return groups;
}

}  // namespace

ClassGroups class_groups(const std::string& how, const std::vector<std::string>& class_names) {
  if (how.empty()) return {};
  if (class_names.empty())
    throw DataError("--class-groups: the classes have no names to be grouped by");
  const bool is_prefix = how == "prefix";
  const std::map<std::string, std::string> groups =
      is_prefix ? std::map<std::string, std::string>() : read_groups(how);
  std::vector<std::string> of_class;
  for (const std::string& name : class_names) {
    const size_t end = name.find('/');
    const auto it = groups.find(name);
    if (is_prefix ? end == std::string::npos : it == groups.end())
      throw DataError("--class-groups ", how, ": the class '", name, "' has no group",
                      is_prefix ? ": no '/' in its name" : "");
    of_class.push_back(is_prefix ? name.substr(0, end) : it->second);
    if (of_class.back().empty())
      throw DataError("--class-groups ", how, ": the group of the class '", name, "' has no name");
  }
  NumberedGroups numbered = number_groups(of_class);
  return {std::move(numbered.names), std::move(numbered.numbers)};
}

ResultTable group_table(const std::string& name, const ClassGroups& groups,
                        const std::vector<ClassShare>& of_classes) {
  ResultTable table{name,
                    ResultTable::Form::kRecords,
                    {"group", "num_classes", "num_examples", "accuracy", "low", "high"},
                    {},
                    "by groups of classes"};
  for (size_t group = 0; group < groups.names.size(); ++group) {
    ClassShare sum;
    int64_t num_classes = 0;
    for (size_t c = 0; c < of_classes.size(); ++c) {
      if (groups.group_of.at(c) != static_cast<int64_t>(group)) continue;
      ++num_classes;
      sum.count += of_classes[c].count;
      sum.right += of_classes[c].right;
    }
    const metrics::Interval interval = metrics::wilson_interval(std::llround(sum.right), sum.count);
    table.rows.push_back(
        {groups.names[group], num_classes, sum.count,
         sum.count == 0 ? metrics::kUndefined : sum.right / static_cast<double>(sum.count),
         interval.low, interval.high});
  }
  return table;
}

}  // namespace vit22b
