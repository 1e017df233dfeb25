#include <utility>

#include "model/engine/block_steps.h"

namespace vit22b::fused {
namespace {

// What the forward pass kept is freed or overwritten as it has been used.
class Backward {
 public:
  Backward(SavedBlock& saved, BlockSteps& steps) : s_(saved), l_(saved.block), steps_(steps) {}

  at::Tensor run(const at::Tensor& output_gradient_BTD) {
    at::Tensor g = output_gradient_BTD.to(at::kFloat).reshape({-1, l_.width}).contiguous();
    std::vector<OutGradient> wanted = {l_.mlp_norm.exists() ? normed_hidden() : hidden()};
    if (l_.is_parallel()) wanted.push_back(attended());
    steps_.back_out(g, {&l_.fc2, l_.scale2, l_.out_norm2}, s_.branch2, wanted);
    std::vector<Factor> factors;
    if (l_.is_gated()) factors.push_back({std::exchange(d_gate_, {}), &l_.gate});
    factors.push_back({std::exchange(d_hidden_, {}), &l_.fc1});
    if (!l_.is_parallel()) {
      g = steps_.back_in(std::move(factors), l_.norm2, s_.middle, s_.norm2, g);
      steps_.back_out(g, {&l_.proj, l_.scale1, l_.out_norm1}, s_.branch1, {attended()});
      factors.clear();
    }
    factors.push_back({std::exchange(d_qkv_, {}), &l_.qkv});
    return steps_.back_in(std::move(factors), l_.norm1, s_.x_BTD, s_.norm1, g)
        .view(s_.x_BTD.sizes());
  }

 private:
  OutGradient hidden() {
    return {.linear = &l_.fc2,
            .is_activated = true,
            .input = &s_.pre_activation,
            .gate = l_.is_gated() ? &s_.gate : nullptr,
            .gate_gradient = &d_gate_,
            .done = [this](at::Tensor d_hidden) { d_hidden_ = std::move(d_hidden); }};
  }

  // The norm between the hidden units and their projection parts the two.
  OutGradient normed_hidden() {
    normed_hidden_ = steps_.norm(l_.mlp_norm, s_.hidden);
    return {
        .linear = &l_.fc2, .input = &normed_hidden_, .done = [this](const at::Tensor& gradient) {
          normed_hidden_.reset();
          const at::Tensor d_units =
              steps_.back_norm(l_.mlp_norm, std::exchange(s_.hidden, {}), gradient);
          steps_.back_hidden(hidden(), d_units);
        }};
  }

  OutGradient attended() {
    if (l_.attn_norm.exists()) normed_attended_ = steps_.norm(l_.attn_norm, s_.attended);
    return {.linear = &l_.proj,
            .input = l_.attn_norm.exists() ? &normed_attended_ : &s_.attended,
            .done = [this](const at::Tensor& gradient) { back_attend(gradient); }};
  }

  void back_attend(at::Tensor gradient) {
    normed_attended_.reset();
    if (l_.attn_norm.exists())
      gradient = steps_.back_norm(l_.attn_norm, s_.attended, gradient).to(gradient.scalar_type());
    const at::Tensor projected = s_.qkv;
    s_.qkv = widely_normed(l_, steps_, projected);
    d_qkv_ = steps_.back_attend(s_, gradient);
    if (l_.has_wide_norms()) back_wide_norms(projected);
    steps_.add_bias_gradient(l_.qkv, d_qkv_);
  }

  void back_wide_norms(const at::Tensor& projected) {
    int64_t first = 0;
    for (const BlockNorm* norm : {&l_.q_wide, &l_.k_wide}) {
      const at::Tensor part = d_qkv_.narrow(1, first, l_.width);
      part.copy_(steps_.back_norm(*norm, projected.narrow(1, first, l_.width), part));
      first += l_.width;
    }
  }

  SavedBlock& s_;
  const BlockSpec& l_;
  BlockSteps& steps_;
  at::Tensor d_gate_, d_hidden_, d_qkv_;
  at::Tensor normed_hidden_, normed_attended_;
};

}  // namespace

at::Tensor backward(SavedBlock& saved, BlockSteps& steps, const at::Tensor& output_gradient_BTD) {
  return Backward(saved, steps).run(output_gradient_BTD);
}

}  // namespace vit22b::fused
