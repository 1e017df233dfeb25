#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "eval/result.h"

namespace vit22b {

/// How alike what each layer of a model and each of another makes of the same samples is: the
/// unbiased linear CKA of all samples at once, of which every layer's rows are kept.
class LayerComparison {
 public:
  /// first, second  of each layer [N, D] of the same samples; widths of layers may differ
  void add(const std::vector<at::Tensor>& first, const std::vector<at::Tensor>& second);
  /// [layers of the first, layers of the second] float64; NaN where it is undefined.
  at::Tensor cka() const;

 private:
  using Rows = std::vector<std::vector<at::Tensor>>;  ///< by layer, part by part
  Rows first_, second_;
};

/// Adds CKA by layers as a matrix, and for people as a table of at most `kMostLayers` a side.
void tell_layers(const at::Tensor& cka, const std::string& name, Result& result);

}  // namespace vit22b
