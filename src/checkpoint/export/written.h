#pragma once
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checkpoint/import/renamed.h"
#include "model/parameter_table.h"

namespace vit22b {

/// Rows of a parameter's first dim.
struct RowSlice {
  const ParameterRow* row;
  int64_t first = 0;
  int64_t count = -1;  ///< -1: all of it
};

/// A tensor of a written file: parts of parameters one after the other, in another shape; zeros
/// where there are none.
struct WrittenTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<RowSlice> slices;
  /// What becomes of the parts before they have the shape (a transpose); nothing where it is empty.
  std::function<at::Tensor(const at::Tensor&)> change = {};
};

/// A checkpoint as another library has it.
struct WrittenModel {
  std::vector<WrittenTensor> tensors;  ///< whose rows belong to the table that it was made from
  std::map<std::string, std::string> texts = {};  ///< files beside the weights, by name
};

/// How a family's files are written by the rules by which they are read.
struct ReverseNames {
  std::span<const NameRule> rules;
  /// What names begin with, by how they begin without it: the first that fits.
  std::span<const std::pair<std::string_view, std::string_view>> prefixes = {};
  /// Rules (by what their names begin with) that other members of the family are read by.
  std::span<const std::string_view> others = {};
  /// Parameters that the family has not, whose values it takes for granted.
  std::span<const std::string_view> granted = {};
  /// Ends of names whose tensors have no sides of 1 before the others.
  std::span<const std::string_view> flat = {};
};

/// A table's parameters under a family's names, one's parts in a row.
std::vector<WrittenTensor> renamed_back(const std::vector<ParameterRow>& table,
                                        const ReverseNames& names);

}  // namespace vit22b
