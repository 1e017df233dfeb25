#include "model/engine/fused_mesh.h"

// On a mesh's model axis products take the blocks of the ring as they arrive; what followed a
// product's tiles in one process follows those of the last block.
namespace vit22b::fused {
namespace {

using cpu::Rows;
using cpu::Term;
using cpu::Tile;

struct Normalised {
  at::Tensor y_ND;  // a factor
  SavedNorm saved;
};

// One sum a token (two with centring) goes over the ranks.
Normalised normalise(const BlockWeights& weights, const Mesh& mesh, const std::string& name,
                     const at::Tensor& x_ND) {
  const BlockSpec& l = weights.layout();
  const auto width = static_cast<double>(l.whole_width);
  at::Tensor centred = x_ND.to(at::kFloat);
  if (l.norm.is_centred) {
    const at::Tensor sum = centred.sum(1, /*keepdim=*/true);
    mesh.sum_(sum, MeshAxis::kModel, name + " mean");
    centred = centred - sum / width;
  }
  at::Tensor square = centred.square().sum(1, /*keepdim=*/true);
  mesh.sum_(square, MeshAxis::kModel, name + " mean square");
  const at::Tensor rstd = (square / width + l.norm.eps).rsqrt();
  at::Tensor y = (centred * rstd).mul_(weights.tensors().at(name + ".weight"));
  if (const auto bias = weights.tensors().find(name + ".bias"); bias != weights.tensors().end())
    y.add_(bias->second);
  const at::Tensor out = empty_factor(x_ND.size(0), x_ND.size(1), weights.storage()).copy_(y);
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
        arithmetic_(cpu::best_arithmetic(weights.storage())) {}

  at::Tensor run(bool is_output_wanted) {
    const at::Tensor x_ND = x_BTD_.view({rows_, l_.width});
    if (saved_ != nullptr) saved_->x_BTD = x_BTD_;
    if (!l_.is_parallel()) return serial(x_ND, is_output_wanted);
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
  void multiply(const RingBlock& block, const LinearSpec& linear, const at::Tensor& sum,
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
    return [out, kept, form = l_.activation, bias = w_.bias(l_.fc1)](const Tile& tile, int64_t row,
                                                                     int64_t column, int64_t) {
      cpu::bias_activation(tile, bias == nullptr ? nullptr : bias + column, form,
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
  at::Tensor add_branch(const std::vector<Factor>& factors, const LinearSpec& linear,
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

  at::Tensor empty(int64_t columns) const { return at::empty({rows_, columns}, w_.compute_type()); }

  const BlockWeights& w_;
  const BlockSpec& l_;
  const Mesh& mesh_;
  const at::Tensor x_BTD_;
  SavedBlock* saved_;
  const std::set<std::string>& trained_;
  const int64_t rows_;
  const cpu::Arithmetic arithmetic_;
  at::Tensor qkv_, activation_;
};

}  // namespace

at::Tensor mesh_forward(const BlockWeights& weights, const Mesh& mesh, const at::Tensor& x_BTD,
                        SavedBlock* saved, const std::set<std::string>& trained,
                        bool is_output_wanted) {
  return MeshForward(weights, mesh, x_BTD, saved, trained).run(is_output_wanted);
}

}  // namespace vit22b::fused
