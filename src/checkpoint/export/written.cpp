#include "checkpoint/export/written.h"

#include <algorithm>
#include <numeric>

#include "checkpoint/import/name_pattern.h"
#include "core/error.h"

namespace vit22b {
namespace {

constexpr std::string_view kQuery = "q.", kOthers = "kv.";

bool is_one_of(std::span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

class Reverse {
 public:
  Reverse(const std::vector<ParameterRow>& table, const ReverseNames& names) : names_(names) {
    for (const ParameterRow& row : table) by_name_[row.name] = &row;
    for (const ParameterRow& row : table)
      if (!is_one_of(names_.granted, row.name)) write(row);
  }

  std::vector<WrittenTensor> take() { return std::move(written_); }

 private:
  bool is_used(const NameRule& rule) const {
    return !rule.to.empty() &&
           std::none_of(names_.others.begin(), names_.others.end(),
                        [&](std::string_view other) { return rule.from.starts_with(other); });
  }

  void write(const ParameterRow& row) {
    for (const NameRule& rule : names_.rules) {
      if (!is_used(rule)) continue;
      const auto found = match_pattern(rule.to, row.name);
      if (!found) continue;
      if (rule.change == Change::kQueryAndRest) {
        if (found->rest.starts_with(kOthers)) return;  // written with the query
        if (!found->rest.starts_with(kQuery)) continue;
        return write_joined(rule, *found);
      }
      for (int part = 0; part < rule.parts; ++part) write_part(row, rule, part, *found);
      return;
    }
    add(row.name, row.shape, {{&row}});
  }

  void write_part(const ParameterRow& row, const NameRule& whole, int part,
                  const PatternMatch& found) {
    const auto rule = std::find_if(names_.rules.begin(), names_.rules.end(), [&](const auto& r) {
      return is_used(r) && r.to == whole.to && r.parts == whole.parts && r.part == part;
    });
    VIT22B_CHECK(rule != names_.rules.end() && rule->change == Change::kNone,
                 "no rule writes part ", part, " of ", row.name);
    std::vector<int64_t> shape = row.shape;
    shape.front() /= whole.parts;
    add(filled_pattern(rule->from, found), shape, {{&row, part * shape.front(), shape.front()}});
  }

  // Query, and keys and values, as one tensor.
  void write_joined(const NameRule& rule, const PatternMatch& found) {
    const std::string rest = found.rest.substr(kQuery.size()), begin(rule.to);
    const ParameterRow* query = by_name_.at(concat(begin, kQuery, rest));
    const ParameterRow* others = by_name_.at(concat(begin, kOthers, rest));
    std::vector<int64_t> shape = query->shape;
    shape.front() += others->shape.front();
    add(std::string(rule.from) + rest, shape, {{query}, {others}});
  }

  void add(std::string name, std::vector<int64_t> shape, std::vector<RowSlice> slices) {
    const bool is_flat =
        std::any_of(names_.flat.begin(), names_.flat.end(),
                    [&](std::string_view end) { return std::string_view(name).ends_with(end); });
    while (is_flat && shape.size() > 1 && shape.front() == 1) shape.erase(shape.begin());
    for (const auto& [begin, prefix] : names_.prefixes)
      if (std::string_view(name).starts_with(begin)) {
        name.insert(0, prefix);
        break;
      }
    written_.push_back({std::move(name), std::move(shape), std::move(slices)});
  }

  const ReverseNames& names_;
  std::map<std::string, const ParameterRow*> by_name_;
  std::vector<WrittenTensor> written_;
};

}  // namespace

std::vector<WrittenTensor> renamed_back(const std::vector<ParameterRow>& table,
                                        const ReverseNames& names) {
  return Reverse(table, names).take();
}

}  // namespace vit22b
