#pragma once
#include <memory>

#include "kernels/cpu/attention.h"
#include "model/engine/block_steps.h"
#include "model/engine/fused_block.h"
#include "model/engine/fused_gradients.h"

namespace vit22b::fused {

/// Where a product goes on the CPU, and what follows each of its tiles while it is in cache.
struct Destination {
  at::Tensor result;
  bool is_whole = false;  ///< the result, float32, is the product itself; nothing follows
  /// Of a product whose first row is `first_row` of the batch's; where it is not whole.
  std::function<cpu::Epilogue(int64_t first_row)> epilogue;
  std::shared_ptr<HiddenGradient> hidden;  ///< of an activated OutGradient
};

/// The steps on the CPU, but for the products.
class CpuSteps : public BlockSteps {
 public:
  explicit CpuSteps(const BlockWork& work);

  at::Tensor attend(const at::Tensor& qkv, AttentionTape* kept) const override;
  at::Tensor back_attend(SavedBlock& saved, const at::Tensor& d_attended) override;
  void back_hidden(const OutGradient& wanted, const at::Tensor& d_hidden_NM) override;
  void add_bias_gradient(const LinearSpec& linear, const at::Tensor& d_output) const override {
    g_.column_sums(linear, d_output);
  }

 protected:
  /// Makes a product's memory: call it as late as possible. The gate of a gated one is read when
  /// its tiles come.
  Destination begin(const InProduct& wanted, const at::Tensor& gate) const;
  Destination begin(const OutGradient& wanted) const;
  /// After an OutGradient's product; adds the gradients of the biases before the activation.
  static void finish(const OutGradient& wanted, const Destination& to);
  /// The same for `out`, to which the residual and the bias are added; a branch with a norm ends
  /// in `joined`.
  Destination begin(const Branch& branch, const at::Tensor& residual_BTD, at::Tensor* kept) const;
  at::Tensor joined(const Branch& branch, const at::Tensor& residual_BTD, at::Tensor result,
                    at::Tensor* kept) const;
  /// From the gradient after a branch to that of its sum; adds those of its scale or norm and bias.
  at::Tensor branch_gradient(const at::Tensor& gradient_ND, const Branch& branch,
                             const at::Tensor& kept) const;

  int64_t rows() const { return images_ * tokens_; }
  int64_t width() const { return l_.width; }

  const BlockSpec& l_;
  const BlockWeights w_;
  const BlockGradients g_;
  const cpu::Arithmetic arithmetic_;

 private:
  cpu::AttentionShape attention(const at::Tensor& qkv) const;
  Destination begin_biased(const LinearSpec& linear, const at::Tensor& result) const;
  at::Tensor empty(int64_t columns) const {
    return at::empty({rows(), columns}, w_.compute_type());
  }

  const Sequence& sequence_;
  const int64_t images_, tokens_;
};

}  // namespace vit22b::fused
