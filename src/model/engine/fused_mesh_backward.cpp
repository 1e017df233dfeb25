#include <optional>

#include "model/engine/fused_gradients.h"
#include "model/engine/fused_mesh.h"

// On a mesh's model axis products take the blocks of the ring as they arrive; what followed a
// product's tiles in one process follows those of the last block.
namespace vit22b::fused {
namespace {

using cpu::Term;

class MeshBackward {
 public:
  MeshBackward(SavedBlock& saved, UnitGrads* grads)
      : s_(saved),
        mesh_(*saved.mesh),
        l_(saved.block),
        w_(l_, saved.weights, saved.compute_type),
        g_(w_, grads),
        rows_(saved.x_BTD.numel() / saved.x_BTD.size(-1)) {}

  at::Tensor run(const at::Tensor& output_gradient_BTD) {
    const at::Tensor g = output_gradient_BTD.to(at::kFloat).reshape({rows_, l_.width}).contiguous();
    return (l_.is_parallel() ? parallel(g) : serial(g)).view(s_.x_BTD.sizes());
  }

 private:
  at::Tensor parallel(const at::Tensor& g) {
    gather(g_.through_scale(g, l_.scale2, s_.branch2), l_.fc2, true, true);
    const at::Tensor d_hidden = hidden_gradient();
    const at::Tensor d_qkv = attention_gradient();
    return through_input({{d_hidden, &l_.fc1}, {d_qkv, &l_.qkv}}, l_.norm1, s_.norm1, g);
  }

  at::Tensor serial(const at::Tensor& g) {
    gather(g_.through_scale(g, l_.scale2, s_.branch2), l_.fc2, true, false);
    const at::Tensor d_middle =
        through_input({{hidden_gradient(), &l_.fc1}}, l_.norm2, s_.norm2, g);
    gather(g_.through_scale(d_middle, l_.scale1, s_.branch1), l_.proj, false, true);
    return through_input({{attention_gradient(), &l_.qkv}}, l_.norm1, s_.norm1, d_middle);
  }

  // Gathers every rank's gradient of a branch, which the out-projections multiply as it arrives.
  void gather(const at::Tensor& branch_gradient, const LinearSpec& biased, bool is_hidden_wanted,
              bool is_attended_wanted) {
    const at::Tensor branch = g_.factor(branch_gradient);
    g_.column_sums(biased, branch);
    branches_.clear();
    const at::Tensor sum = is_hidden_wanted ? at::empty({rows_, l_.hidden}) : at::Tensor();
    if (is_hidden_wanted) hidden_.emplace(g_, l_, s_.pre_activation);
    if (is_attended_wanted) d_attended_ = at::empty({rows_, l_.width});
    ring_gather(
        mesh_, branch,
        [&](const RingBlock& block) {
          if (is_hidden_wanted) {
            const cpu::Epilogue epilogue = hidden_->epilogue(block.rows.first);
            multiply(block, l_.fc2, sum, block.is_last ? &epilogue : nullptr);
          }
          if (is_attended_wanted) multiply(block, l_.proj, d_attended_, nullptr);
          branches_.push_back(block);
        },
        biased.weight + " gradient");
  }

  // sum += block · (the weight's rows of its source)
  void multiply(const RingBlock& block, const LinearSpec& linear, const at::Tensor& sum,
                const cpu::Epilogue* epilogue) const {
    cpu::product_into(tile_of(some_rows(sum, block.rows)),
                      {{.a = rows_of(block.tensor),
                        .b = w_.matrix(linear).at(block.source * l_.width, 0),
                        .k = l_.width}},
                      !block.is_first, g_.arithmetic(), epilogue);
  }

  at::Tensor hidden_gradient() {
    at::Tensor d_hidden = hidden_->finish();
    out_gradients(l_.fc2, s_.pre_activation);  // which the activation has replaced
    s_.pre_activation.reset();
    return d_hidden;
  }

  at::Tensor attention_gradient() {
    out_gradients(l_.proj, s_.attended);
    return g_.through_attention(s_, g_.factor(d_attended_));
  }

  // The gradient of an out-projection's weight: rows of each rank's branch.
  void out_gradients(const LinearSpec& linear, const at::Tensor& input) const {
    const Target weight = g_.target(linear.weight);
    if (weight.data == nullptr) return;
    for (const RingBlock& block : branches_)
      cpu::product_into({weight.data + block.source * l_.width * weight.columns, weight.columns,
                         l_.width, linear.in},
                        {{.a = rows_of(block.tensor),
                          .is_a_transposed = true,
                          .b = rows_of(some_rows(input, block.rows)),
                          .k = block.rows.count}},
                        !g_.is_overwrite() || block.rows.first > 0, g_.arithmetic());
  }

  // Weights of the in-projections, their input, and the norm before it; plus the residual's
  // gradient.
  at::Tensor through_input(const std::vector<Factor>& factors, const std::string& norm,
                           const SavedNorm& kept, const at::Tensor& residual_gradient) {
    for (const Factor& f : factors) in_gradients(*f.linear, f.values, kept);
    const at::Tensor d_y = ring_reduce(
        mesh_, {rows_, l_.width},
        [&](const RingPart& part) {
          std::vector<Term> terms;
          terms.reserve(factors.size());
          for (const Factor& f : factors)
            terms.push_back({.a = rows_of(some_rows(f.values, part.rows)),
                             .b = w_.matrix(*f.linear).at(0, part.destination * l_.width),
                             .k = f.linear->out});
          cpu::product_into(tile_of(part.sum), terms, false, g_.arithmetic());
        },
        factors[0].linear->weight + " input gradient");
    return through_norm(norm, kept, d_y).add_(residual_gradient);
  }

  // The gradient of an in-projection's weight: columns of each rank's features.
  void in_gradients(const LinearSpec& linear, const at::Tensor& d_output,
                    const SavedNorm& kept) const {
    const Target weight = g_.target(linear.weight);
    if (weight.data == nullptr) return;
    for (const RingBlock& block : kept.gathered)
      cpu::product_into({weight.data + linear.first_row * weight.columns + block.source * l_.width,
                         weight.columns, linear.out, l_.width},
                        {{.a = rows_of(some_rows(d_output, block.rows)),
                          .is_a_transposed = true,
                          .b = rows_of(block.tensor),
                          .k = block.rows.count}},
                        !g_.is_overwrite() || block.rows.first > 0, g_.arithmetic());
  }

  at::Tensor through_norm(const std::string& name, const SavedNorm& kept, const at::Tensor& d_y) {
    const auto width = static_cast<double>(l_.whole_width);
    const at::Tensor x_hat = kept.centred_ND * kept.rstd_N1;
    if (const Target weight = g_.target(name, ".weight"); weight.data != nullptr)
      at::from_blob(weight.data, {l_.width}).add_((d_y * x_hat).sum(0));
    if (const Target bias = g_.target(name, ".bias"); bias.data != nullptr)
      at::from_blob(bias.data, {l_.width}).add_(d_y.sum(0));
    const at::Tensor scaled = d_y * s_.weights.at(name + ".weight");
    std::vector<at::Tensor> sums = {(scaled * x_hat).sum(1, /*keepdim=*/true)};
    if (l_.norm.is_centred) sums.push_back(scaled.sum(1, /*keepdim=*/true));
    mesh_.sum_together_(sums, MeshAxis::kModel, name + " gradient");
    at::Tensor d_x = scaled - x_hat * (sums[0] / width);
    if (l_.norm.is_centred) d_x = d_x - sums[1] / width;
    return d_x * kept.rstd_N1;
  }

  SavedBlock& s_;
  const Mesh& mesh_;
  const BlockSpec& l_;
  const BlockWeights w_;
  const BlockGradients g_;
  const int64_t rows_;
  std::vector<RingBlock> branches_;
  std::optional<HiddenGradient> hidden_;
  at::Tensor d_attended_;
};

}  // namespace

at::Tensor mesh_backward(SavedBlock& saved, const at::Tensor& output_gradient_BTD,
                         UnitGrads* grads) {
  return MeshBackward(saved, grads).run(output_gradient_BTD);
}

}  // namespace vit22b::fused
