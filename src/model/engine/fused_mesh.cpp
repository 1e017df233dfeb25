#include "model/engine/fused_gradients.h"

// The block's passes on a mesh's model axis. Products take the blocks of the ring as they arrive;
// what followed a product's tiles in one process follows those of the last block.
namespace vit22b::fused {
namespace {

using cpu::Rows;
using cpu::Term;
using cpu::Tile;

at::Tensor some_rows(const at::Tensor& tensor, const Share& rows) {
  return tensor.narrow(0, rows.first, rows.count);
}

// One factor of a sum of products, and the layer whose weight is the other.
struct Factor {
  at::Tensor values;
  const Linear* linear;
};

struct Normalised {
  at::Tensor y_ND;  // a factor
  SavedNorm saved;
};

// One sum a token (two with centring) goes over the ranks.
Normalised normalise(const BlockWeights& weights, const Mesh& mesh, const std::string& name,
                     const at::Tensor& x_ND) {
  const BlockLayout& l = weights.layout();
  const auto width = static_cast<double>(l.whole_width);
  at::Tensor centred = x_ND.to(at::kFloat);
  if (l.is_centred) {
    const at::Tensor sum = centred.sum(1, /*keepdim=*/true);
    mesh.sum_(sum, MeshAxis::kModel, name + " mean");
    centred = centred - sum / width;
  }
  at::Tensor square = centred.square().sum(1, /*keepdim=*/true);
  mesh.sum_(square, MeshAxis::kModel, name + " mean square");
  const at::Tensor rstd = (square / width + l.norm_eps).rsqrt();
  at::Tensor y = (centred * rstd).mul_(weights.tensors().at(name + ".weight"));
  if (const auto bias = weights.tensors().find(name + ".bias"); bias != weights.tensors().end())
    y.add_(bias->second);
  const at::Tensor out = empty_factor(x_ND.size(0), x_ND.size(1), rows_of(x_ND).storage).copy_(y);
  return {out, {{}, centred, rstd}};
}

class MeshForward {
 public:
  MeshForward(const BlockWeights& weights, const Mesh& mesh, const at::Tensor& x_BTD,
              SavedBlock* saved, const std::set<std::string>& trained)
      : w_(weights),
        l_(weights.layout()),
        mesh_(mesh),
        x_BTD_(x_BTD.contiguous()),
        saved_(saved),
        trained_(trained),
        rows_(x_BTD.numel() / x_BTD.size(-1)),
        arithmetic_(cpu::best_arithmetic(rows_of(x_BTD_).storage)) {}

  at::Tensor run(bool is_output_wanted) {
    const at::Tensor x_ND = x_BTD_.view({rows_, l_.width});
    if (saved_ != nullptr) saved_->x_BTD = x_BTD_;
    if (!l_.is_parallel) return serial(x_ND, is_output_wanted);
    gather(l_.norm1, x_ND, saved_ != nullptr ? &saved_->norm1 : nullptr, true, true);
    const at::Tensor attended = attend();
    if (!is_output_wanted && trained_.count(l_.scale2) == 0) return {};
    return add_branch({{activation_, &l_.fc2}, {attended, &l_.proj}}, l_.fc2, l_.scale2, x_ND,
                      saved_ != nullptr ? &saved_->branch2 : nullptr);
  }

 private:
  at::Tensor serial(const at::Tensor& x_ND, bool is_output_wanted) {
    gather(l_.norm1, x_ND, saved_ != nullptr ? &saved_->norm1 : nullptr, true, false);
    const at::Tensor middle = add_branch({{attend(), &l_.proj}}, l_.proj, l_.scale1, x_ND,
                                         saved_ != nullptr ? &saved_->branch1 : nullptr)
                                  .view({rows_, l_.width});
    if (saved_ != nullptr) saved_->middle = middle;
    gather(l_.norm2, middle, saved_ != nullptr ? &saved_->norm2 : nullptr, false, true);
    if (!is_output_wanted && trained_.count(l_.scale2) == 0) return {};
    return add_branch({{activation_, &l_.fc2}}, l_.fc2, l_.scale2, middle,
                      saved_ != nullptr ? &saved_->branch2 : nullptr);
  }

  // Normalises, and gathers every rank's features into the in-projections asked for.
  void gather(const std::string& norm, const at::Tensor& x_ND, SavedNorm* kept, bool is_qkv_wanted,
              bool is_hidden_wanted) {
    Normalised normed = normalise(w_, mesh_, norm, x_ND);
    const at::Tensor qkv_sum = is_qkv_wanted ? at::empty({rows_, l_.qkv.out}) : at::Tensor();
    const at::Tensor hidden_sum = is_hidden_wanted ? at::empty({rows_, l_.hidden}) : at::Tensor();
    if (is_qkv_wanted) qkv_ = empty(l_.qkv.out);
    if (is_hidden_wanted) {
      activation_ = empty(l_.hidden);
      if (saved_ != nullptr) saved_->pre_activation = empty(l_.hidden);
    }
    ring_gather(
        mesh_, normed.y_ND,
        [&](const RingBlock& block) {
          if (is_qkv_wanted) multiply(block, l_.qkv, qkv_sum, qkv_store(block.rows.first));
          if (is_hidden_wanted) multiply(block, l_.fc1, hidden_sum, hidden_store(block.rows.first));
          if (kept != nullptr) normed.saved.gathered.push_back(block);
        },
        norm);
    if (kept != nullptr) *kept = std::move(normed.saved);
  }

  // sum += block · (the weight's columns of its source)ᵀ
  void multiply(const RingBlock& block, const Linear& linear, const at::Tensor& sum,
                const cpu::Epilogue& epilogue) const {
    cpu::product_into(tile_of(some_rows(sum, block.rows)),
                      {{.a = rows_of(block.tensor),
                        .b = w_.matrix(linear).at(0, block.source * l_.width),
                        .is_b_transposed = true,
                        .k = l_.width}},
                      !block.is_first, arithmetic_, block.is_last ? &epilogue : nullptr);
  }

  cpu::Epilogue qkv_store(int64_t first_row) const {
    return [out = rows_of(qkv_).at(first_row, 0), bias = w_.bias(l_.qkv)](
               const Tile& tile, int64_t row, int64_t column, int64_t) {
      cpu::bias_store(tile, bias == nullptr ? nullptr : bias + column, out.at(row, column));
    };
  }

  cpu::Epilogue hidden_store(int64_t first_row) const {
    const Rows out = rows_of(activation_).at(first_row, 0);
    Rows kept{nullptr, l_.hidden, out.storage};
    if (saved_ != nullptr) kept = rows_of(saved_->pre_activation).at(first_row, 0);
    return [out, kept, gelu = l_.gelu, bias = w_.bias(l_.fc1)](const Tile& tile, int64_t row,
                                                               int64_t column, int64_t) {
      cpu::bias_gelu(tile, bias == nullptr ? nullptr : bias + column, gelu,
                     kept.data == nullptr ? kept : kept.at(row, column), out.at(row, column));
    };
  }

  at::Tensor attend() {
    at::Tensor attended = empty(l_.width), lse;
    if (saved_ != nullptr)
      lse =
          at::empty({x_BTD_.size(0), l_.heads, x_BTD_.size(1)}, x_BTD_.options().dtype(at::kFloat));
    cpu::attention_forward(w_.attention(x_BTD_, qkv_), rows_of(attended),
                           lse.defined() ? lse.mutable_data_ptr<float>() : nullptr);
    if (saved_ != nullptr) {
      saved_->qkv = qkv_;
      saved_->attended = attended;
      saved_->lse_BHT = lse;
    }
    return attended;
  }

  // residual + scale * (the factors' products summed over the ranks + bias)
  at::Tensor add_branch(const std::vector<Factor>& factors, const Linear& linear,
                        const std::string& scale_name, const at::Tensor& residual,
                        at::Tensor* kept) {
    const at::Tensor sum = ring_reduce(
        mesh_, {rows_, l_.width},
        [&](const RingPart& part) {
          std::vector<Term> terms;
          terms.reserve(factors.size());
          for (const Factor& f : factors)
            terms.push_back({.a = rows_of(some_rows(f.values, part.rows)),
                             .b = w_.matrix(*f.linear).at(part.destination * l_.width, 0),
                             .is_b_transposed = true,
                             .k = f.linear->in});
          cpu::product_into(tile_of(part.sum), terms, false, arithmetic_);
        },
        linear.weight);
    at::Tensor out = at::empty_like(x_BTD_);
    Rows branch{nullptr, l_.width, rows_of(out).storage};
    if (kept != nullptr && trained_.count(scale_name) != 0) {
      *kept = empty(l_.width);
      branch = rows_of(*kept);
    }
    cpu::bias_scale_residual(tile_of(sum), w_.bias(linear), w_.vector(scale_name),
                             rows_of(residual), branch, rows_of(out));
    return out;
  }

  at::Tensor empty(int64_t columns) const { return at::empty({rows_, columns}, x_BTD_.options()); }

  const BlockWeights& w_;
  const BlockLayout& l_;
  const Mesh& mesh_;
  const at::Tensor x_BTD_;
  SavedBlock* saved_;
  const std::set<std::string>& trained_;
  const int64_t rows_;
  const cpu::Arithmetic arithmetic_;
  at::Tensor qkv_, activation_;
};

class MeshBackward {
 public:
  MeshBackward(SavedBlock& saved, UnitGrads* grads)
      : s_(saved),
        mesh_(*saved.mesh),
        l_(*saved.config, saved.weights, mesh_),
        w_(l_, saved.weights),
        g_(w_, grads, rows_of(saved.x_BTD).storage),
        rows_(saved.x_BTD.numel() / saved.x_BTD.size(-1)) {}

  at::Tensor run(const at::Tensor& output_gradient_BTD) {
    const at::Tensor g = output_gradient_BTD.to(at::kFloat).reshape({rows_, l_.width}).contiguous();
    return (l_.is_parallel ? parallel(g) : serial(g)).view(s_.x_BTD.sizes());
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
  void gather(const at::Tensor& branch_gradient, const Linear& biased, bool is_hidden_wanted,
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
  void multiply(const RingBlock& block, const Linear& linear, const at::Tensor& sum,
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
  void out_gradients(const Linear& linear, const at::Tensor& input) const {
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
  void in_gradients(const Linear& linear, const at::Tensor& d_output, const SavedNorm& kept) const {
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
    if (l_.is_centred) sums.push_back(scaled.sum(1, /*keepdim=*/true));
    mesh_.sum_together_(sums, MeshAxis::kModel, name + " gradient");
    at::Tensor d_x = scaled - x_hat * (sums[0] / width);
    if (l_.is_centred) d_x = d_x - sums[1] / width;
    return d_x * kept.rstd_N1;
  }

  SavedBlock& s_;
  const Mesh& mesh_;
  const BlockLayout l_;
  const BlockWeights w_;
  const BlockGradients g_;
  const int64_t rows_;
  std::vector<RingBlock> branches_;
  std::optional<HiddenGradient> hidden_;
  at::Tensor d_attended_;
};

}  // namespace

at::Tensor mesh_forward(const BlockWeights& weights, const Mesh& mesh, const at::Tensor& x_BTD,
                        SavedBlock* saved, const std::set<std::string>& trained,
                        bool is_output_wanted) {
  return MeshForward(weights, mesh, x_BTD, saved, trained).run(is_output_wanted);
}

at::Tensor mesh_backward(SavedBlock& saved, const at::Tensor& output_gradient_BTD,
                         UnitGrads* grads) {
  return MeshBackward(saved, grads).run(output_gradient_BTD);
}

}  // namespace vit22b::fused
