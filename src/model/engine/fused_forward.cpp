#include "model/engine/fused_block.h"

namespace vit22b::fused {
namespace {

using cpu::Tile;

class Forward {
 public:
  Forward(const BlockWeights& weights, const PackedBlock* packed, const at::Tensor& x_BTD,
          SavedBlock* saved, const std::set<std::string>& trained)
      : w_(weights),
        l_(weights.layout()),
        packed_(packed),
        x_BTD_(x_BTD.contiguous()),
        saved_(saved),
        trained_(trained),
        rows_(x_BTD.numel() / x_BTD.size(-1)),
        arithmetic_(cpu::best_arithmetic(weights.storage())) {}

  at::Tensor run() {
    at::Tensor y = normalised(w_, l_.norm1, x_BTD_);
    const at::Tensor attended = attend(y);
    at::Tensor residual = x_BTD_;
    if (!l_.is_parallel()) {
      residual = add_branch({term(attended, l_.proj)}, l_.proj, l_.scale1, x_BTD_,
                            saved_ != nullptr ? &saved_->branch1 : nullptr);
      if (saved_ != nullptr) saved_->middle = residual;
      y = normalised(w_, l_.norm2, residual);
    }
    const at::Tensor activation = activate(y);
    std::vector<cpu::Term> terms = {term(activation, l_.fc2)};
    if (l_.is_parallel()) terms.push_back(term(attended, l_.proj));
    at::Tensor out = add_branch(terms, l_.fc2, l_.scale2, residual,
                                saved_ != nullptr ? &saved_->branch2 : nullptr);
    if (saved_ != nullptr) saved_->x_BTD = x_BTD_;
    return out;
  }

 private:
  cpu::Term term(const at::Tensor& a, const LinearSpec& linear) const {
    return {.a = rows_of(a),
            .b = w_.matrix(linear),
            .is_b_transposed = true,
            .packed = packed_ != nullptr ? packed_->find(linear) : nullptr,
            .k = linear.in};
  }

  at::Tensor empty(int64_t columns) const { return at::empty({rows_, columns}, w_.compute_type()); }

  at::Tensor attend(const at::Tensor& y) {
    const at::Tensor qkv = empty(l_.qkv.out);
    const cpu::Rows out = rows_of(qkv);
    const float* bias = w_.bias(l_.qkv);
    if (bias == nullptr && out.storage == cpu::Storage::kFloat32)
      cpu::product_into(tile_of(qkv), {term(y, l_.qkv)}, false, arithmetic_);
    else
      cpu::product(
          rows_, l_.qkv.out, {term(y, l_.qkv)},
          [&](const Tile& tile, int64_t row, int64_t column, int64_t) {
            cpu::bias_store(tile, bias == nullptr ? nullptr : bias + column, out.at(row, column));
          },
          arithmetic_);
    at::Tensor attended = empty(l_.width);
    at::Tensor lse;
    if (saved_ != nullptr)
      lse =
          at::empty({x_BTD_.size(0), l_.heads, x_BTD_.size(1)}, x_BTD_.options().dtype(at::kFloat));
    cpu::attention_forward(w_.attention(x_BTD_, qkv), rows_of(attended),
                           lse.defined() ? lse.mutable_data_ptr<float>() : nullptr);
    if (saved_ != nullptr) {
      saved_->qkv = qkv;
      saved_->attended = attended;
      saved_->lse_BHT = lse;
    }
    return attended;
  }

  at::Tensor activate(const at::Tensor& y) {
    at::Tensor activation = empty(l_.hidden);
    const cpu::Rows out = rows_of(activation);
    cpu::Rows kept{nullptr, l_.hidden, out.storage};
    if (saved_ != nullptr) {
      saved_->pre_activation = empty(l_.hidden);
      kept = rows_of(saved_->pre_activation);
    }
    const float* bias = w_.bias(l_.fc1);
    cpu::product(
        rows_, l_.hidden, {term(y, l_.fc1)},
        [&](const Tile& tile, int64_t row, int64_t column, int64_t) {
          cpu::bias_activation(tile, bias == nullptr ? nullptr : bias + column, l_.activation,
                               kept.data == nullptr ? kept : kept.at(row, column),
                               out.at(row, column));
        },
        arithmetic_);
    return activation;
  }

  // residual + scale * (sum of terms + bias)
  at::Tensor add_branch(const std::vector<cpu::Term>& terms, const LinearSpec& linear,
                        const std::string& scale_name, const at::Tensor& residual,
                        at::Tensor* kept) {
    at::Tensor out = at::empty_like(x_BTD_);
    const cpu::Rows to = rows_of(out), base = rows_of(residual);
    cpu::Rows branch{nullptr, l_.width, to.storage};
    if (kept != nullptr && trained_.count(scale_name) != 0) {
      *kept = empty(l_.width);
      branch = rows_of(*kept);
    }
    const float *bias = w_.bias(linear), *scale = w_.vector(scale_name);
    cpu::product(
        rows_, l_.width, terms,
        [&](const Tile& tile, int64_t row, int64_t column, int64_t) {
          cpu::bias_scale_residual(
              tile, bias == nullptr ? nullptr : bias + column,
              scale == nullptr ? nullptr : scale + column, base.at(row, column),
              branch.data == nullptr ? branch : branch.at(row, column), to.at(row, column));
        },
        arithmetic_);
    return out;
  }

  const BlockWeights& w_;
  const BlockSpec& l_;
  const PackedBlock* packed_;
  const at::Tensor x_BTD_;
  SavedBlock* saved_;
  const std::set<std::string>& trained_;
  const int64_t rows_;
  const cpu::Arithmetic arithmetic_;
};

}  // namespace

at::Tensor normalised(const BlockWeights& weights, const std::string& name, const at::Tensor& x) {
  const int64_t rows = x.numel() / x.size(-1), columns = x.size(-1);
  at::Tensor y = empty_factor(rows, columns, weights.storage());
  norm_rows(rows_of(x), rows, columns, weights.norm(name), rows_of(y));
  return y;
}

at::Tensor forward(const BlockWeights& weights, const PackedBlock* packed, const at::Tensor& x_BTD,
                   SavedBlock* saved, const std::set<std::string>& trained) {
  return Forward(weights, packed, x_BTD, saved, trained).run();
}

}  // namespace vit22b::fused
