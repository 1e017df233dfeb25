#include <optional>
#include <utility>

#include "model/engine/projections.h"

namespace vit22b::fused {
namespace {

using cpu::Tile;

// The gradients of one block. Those of the residual stream, the norms and the weights are float32,
// those that only products read are factors. What the forward pass kept is freed or overwritten as
// it has been used.
class Backward {
 public:
  Backward(SavedBlock& saved, UnitGrads* grads)
      : s_(saved),
        l_(saved.block),
        w_(l_, saved.weights, saved.compute_type),
        g_(w_, grads),
        projections_(make_projections(w_, *saved.mesh, nullptr, &g_)),
        rows_(saved.x_BTD.numel() / saved.x_BTD.size(-1)) {}

  at::Tensor run(const at::Tensor& output_gradient_BTD) {
    at::Tensor g = output_gradient_BTD.to(at::kFloat).reshape({rows_, l_.width}).contiguous();
    std::vector<Wanted> wanted = {hidden()};
    if (l_.is_parallel()) wanted.push_back(attended());
    projections_->back_out(g_.through_scale(g, l_.scale2, s_.branch2), l_.fc2, wanted);
    std::vector<Factor> factors;
    factors.push_back({std::exchange(d_hidden_, {}), &l_.fc1});
    if (!l_.is_parallel()) {
      g = projections_->back_in(std::move(factors), l_.norm2, s_.middle, s_.norm2, g);
      projections_->back_out(g_.through_scale(g, l_.scale1, s_.branch1), l_.proj, {attended()});
      factors.clear();
    }
    factors.push_back({std::exchange(d_qkv_, {}), &l_.qkv});
    return projections_->back_in(std::move(factors), l_.norm1, s_.x_BTD, s_.norm1, g)
        .view(s_.x_BTD.sizes());
  }

 private:
  // From the MLP's output gradient to that of its pre-activation.
  Wanted hidden() {
    return {&l_.fc2,
            [this]() -> Destination {
              hidden_.emplace(g_, l_, s_.pre_activation);
              return {{}, [this](int64_t first_row) { return hidden_->epilogue(first_row); }};
            },
            [this] {
              d_hidden_ = hidden_->finish();
              hidden_.reset();
              // The activation has replaced the pre-activation.
              projections_->out_weight_gradient(l_.fc2, s_.pre_activation);
              s_.pre_activation.reset();
            }};
  }

  // From the attention's output gradient to that of q, k and v as the projection gave them.
  Wanted attended() {
    return {&l_.proj,
            [this]() -> Destination {
              d_attended_ = g_.empty(rows_, l_.width);
              if (d_attended_.scalar_type() == at::kFloat) return {d_attended_, {}};
              return {{}, [out = rows_of(d_attended_)](int64_t first_row) {
                        return [out, first_row](const Tile& tile, int64_t row, int64_t column,
                                                int64_t) {
                          cpu::store_rows(tile, out.at(first_row + row, column));
                        };
                      }};
            },
            [this] {
              projections_->out_weight_gradient(l_.proj, s_.attended);
              d_qkv_ = g_.through_attention(s_, d_attended_);
              d_attended_.reset();
            }};
  }

  SavedBlock& s_;
  const BlockSpec& l_;
  const BlockWeights w_;
  const BlockGradients g_;
  const std::unique_ptr<Projections> projections_;
  const int64_t rows_;
  std::optional<HiddenGradient> hidden_;
  at::Tensor d_hidden_, d_attended_, d_qkv_;
};

}  // namespace

at::Tensor backward(SavedBlock& saved, const at::Tensor& output_gradient_BTD, UnitGrads* grads) {
  return Backward(saved, grads).run(output_gradient_BTD);
}

}  // namespace vit22b::fused
