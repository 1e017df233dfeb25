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
    std::vector<OutGradient> wanted = {hidden()};
    if (l_.is_parallel()) wanted.push_back(attended());
    steps_.back_out(g, {&l_.fc2, l_.scale2}, s_.branch2, wanted);
    std::vector<Factor> factors;
    if (l_.is_gated()) factors.push_back({std::exchange(d_gate_, {}), &l_.gate});
    factors.push_back({std::exchange(d_hidden_, {}), &l_.fc1});
    if (!l_.is_parallel()) {
      g = steps_.back_in(std::move(factors), l_.norm2, s_.middle, s_.norm2, g);
      steps_.back_out(g, {&l_.proj, l_.scale1}, s_.branch1, {attended()});
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

  OutGradient attended() {
    return {.linear = &l_.proj, .input = &s_.attended, .done = [this](const at::Tensor& gradient) {
              d_qkv_ = steps_.back_attend(s_, gradient);
            }};
  }

  SavedBlock& s_;
  const BlockSpec& l_;
  BlockSteps& steps_;
  at::Tensor d_gate_, d_hidden_, d_qkv_;
};

}  // namespace

at::Tensor backward(SavedBlock& saved, BlockSteps& steps, const at::Tensor& output_gradient_BTD) {
  return Backward(saved, steps).run(output_gradient_BTD);
}

}  // namespace vit22b::fused
