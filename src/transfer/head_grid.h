#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

#include "core/watch.h"
#include "transfer/logistic.h"

namespace vit22b {

/// One kind of input to linear heads, such as the pooled features: rows of any samples.
struct HeadInput {
  std::string name;
  int64_t width = 0;
  /// indices int64 → [rows, width] float32, contiguous
  std::function<at::Tensor(const at::Tensor& indices)> rows;
};

/// How a grid of heads trains.
struct HeadGridOptions {
  std::vector<double> rates;  ///< base rates, for a batch of 256
  int64_t epochs = 10;
  int64_t batch_size = 1024;
  double momentum = 0.9;
  uint64_t seed = 0;
  Watch watch = {};  ///< told steps
};

/// DINOv2's thirteen base rates (eval/linear.py).
std::vector<double> head_grid_rates();

/// Linear heads on one input, one for each rate, side by side in one matrix, so that a step of all
/// is two products.
class HeadRow {
 public:
  /// Weights normal with deviation 0.01, biases zero (DINOv2 eval/linear.py).
  HeadRow(int64_t width, int64_t num_heads, int64_t num_classes, uint64_t seed);

  /// [B, H, C] float32.
  at::Tensor scores(const at::Tensor& features_BD) const;
  /// One step of SGD on the mean softmax loss; `rates_H` as they are used.
  void step(const at::Tensor& features_BD, const at::Tensor& labels_B,
            const std::vector<double>& rates_H, double momentum);
  LinearHead head(int64_t index) const;
  int64_t num_heads() const { return num_heads_; }

 private:
  int64_t num_heads_, num_classes_;
  at::Tensor weights_DN_, momentum_DN_;  ///< N = H C
  at::Tensor bias_N_, bias_momentum_N_;
};

/// Trains heads for every input and rate in one pass over the samples: SGD with momentum and no
/// decay on the softmax loss, rates × batch / 256 on a cosine to 0.
///
/// train    indices of the samples to train on
/// labels   of all samples
/// returns  a row of heads for each input, in order
/// source   DINOv2 eval/linear.py
std::vector<HeadRow> train_head_grid(const std::vector<HeadInput>& inputs, const at::Tensor& labels,
                                     const at::Tensor& train, int64_t num_classes,
                                     const HeadGridOptions& options);

}  // namespace vit22b
