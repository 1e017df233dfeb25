#pragma once
#include <ATen/core/Tensor.h>

#include <mutex>
#include <string>
#include <vector>

#include "model/engine/fused_block.h"

namespace vit22b::fused {

/// Where a parameter's gradient goes.
struct Target {
  float* data = nullptr;  ///< null: it does not train
  int64_t columns = 0;
};

/// Where the gradients of a block's weights go, on the CPU. All outlive it.
class BlockGradients {
 public:
  /// grads  may be null
  BlockGradients(const BlockWeights& weights, UnitGrads* grads);

  cpu::Arithmetic arithmetic() const { return arithmetic_; }
  bool is_overwrite() const { return grads_ == nullptr || grads_->is_overwrite; }
  /// Uninitialised, for what only products read.
  at::Tensor empty(int64_t rows, int64_t columns) const {
    return empty_factor(rows, columns, storage_);
  }
  at::Tensor factor(const at::Tensor& gradient) const;
  Target target(const std::string& name, const char* suffix = "") const;
  /// scale · input · Aᵀ: [N, rank], a factor, of a layer that has an adapter.
  at::Tensor adapter_inner(const LinearSpec& linear, const at::Tensor& input) const;
  /// scale · d_output · B: the gradient of input · Aᵀ, likewise.
  at::Tensor adapter_inner_gradient(const LinearSpec& linear, const at::Tensor& d_output) const;
  /// A and this layer's rows of B.
  cpu::Rows adapter_a(const LinearSpec& linear) const;
  cpu::Rows adapter_b(const LinearSpec& linear) const;

  /// d_outputᵀ · input: the gradient of a linear layer's weight; and those of its adapter.
  void weight_gradient(const LinearSpec& linear, const at::Tensor& d_output,
                       const at::Tensor& input) const;
  /// The gradient of a linear layer's bias.
  void column_sums(const LinearSpec& linear, const at::Tensor& d_output) const;
  /// Through LayerScale; the gradient itself where the block has none.
  at::Tensor through_scale(const at::Tensor& g, const std::string& name,
                           const at::Tensor& branch) const;

 private:
  void adapter_gradient(const LinearSpec& linear, const at::Tensor& d_output,
                        const at::Tensor& input) const;
  at::Tensor scaled_product(double scale, int64_t rows, int64_t columns,
                            const cpu::Term& term) const;

  const BlockWeights& weights_;
  UnitGrads* grads_;
  cpu::Storage storage_;
  cpu::Arithmetic arithmetic_;
};

/// From the gradient of the MLP's activation, as a product gives its tiles, to that of its
/// pre-activation, and to the gate's; the activation is computed again on the way, over the
/// pre-activation's memory.
class HiddenGradient {
 public:
  /// gate  undefined for an MLP without one
  HiddenGradient(const BlockGradients& gradients, const BlockSpec& block,
                 const at::Tensor& pre_activation, const at::Tensor& gate);
  /// For a product whose first row is `first_row` of the pre-activation.
  cpu::Epilogue epilogue(int64_t first_row = 0);
  const at::Tensor& result() const { return d_hidden_; }
  const at::Tensor& gate_result() const { return d_gate_; }
  /// Adds the biases' gradients; call it once, at the end.
  void finish();

 private:
  /// The biases' gradients of some rows, fc1's before the gate's; made by the first of its tiles,
  /// since a product has as many shares as it may have for few rows alone.
  struct Share {
    std::once_flag is_made;
    std::vector<float> sums;
  };
  float* sums_of(int64_t share);

  const BlockSpec& block_;
  const cpu::Rows kept_, gate_;  ///< the gate's data null for none
  const at::Tensor d_hidden_, d_gate_;
  const Target bias_, gate_bias_;
  std::vector<Share> shares_;  ///< none where the layers have no bias
};

}  // namespace vit22b::fused
