#pragma once
#include <map>
#include <string>
#include <vector>

#include "checkpoint/export/onnx/graph.h"
#include "checkpoint/weights.h"
#include "model/parameter_table.h"

namespace vit22b {

/// Rows of a parameter's first dim.
struct OnnxRows {
  int64_t first = 0;
  int64_t count = -1;  ///< -1: all
};

/// A table's parameters as tensors of a graph: whole ones under their own names, parts under names
/// that say which. Every element has to be asked for, once.
class OnnxWeights {
 public:
  /// The graph and the table outlive it; `whole` is asked when the graph is written.
  OnnxWeights(OnnxGraph& graph, const std::vector<ParameterRow>& table, WholeTensor whole);

  bool has(const std::string& name) const { return rows_.count(name) != 0; }
  const ParameterRow& row(const std::string& name) const;
  /// As it is; NAME[first:end] of some rows.
  OnnxValue plain(const std::string& name, const OnnxRows& rows = {});
  /// A matrix as products with tokens want it: [in, out].
  OnnxValue transposed(const std::string& name, const OnnxRows& rows = {});
  /// Elements from one on, in another shape, under the name with an ending.
  OnnxValue elements(const std::string& name, int64_t first, const std::vector<int64_t>& shape,
                     const std::string& ending = "");
  /// throws  InternalError naming a parameter of which a part is in no tensor: the graph would not
  ///         compute what the model does
  void check_all_used() const;

 private:
  OnnxGraph& graph_;
  WholeTensor whole_;
  std::map<std::string, const ParameterRow*> rows_;
  std::map<std::string, int64_t> used_;  ///< elements of each
};

}  // namespace vit22b
