#include "model/engine/projections.h"

namespace vit22b::fused {
namespace {

using cpu::Rows;
using cpu::Tile;

class Forward {
 public:
  Forward(const BlockWeights& weights, Projections& projections, const at::Tensor& x_BTD,
          SavedBlock* saved, const std::set<std::string>& trained)
      : w_(weights),
        l_(weights.block()),
        projections_(projections),
        x_BTD_(x_BTD.contiguous()),
        saved_(saved),
        trained_(trained),
        rows_(x_BTD.numel() / x_BTD.size(-1)) {}

  at::Tensor run(bool is_output_wanted) {
    if (saved_ != nullptr) saved_->x_BTD = x_BTD_;
    std::vector<Wanted> wanted = {attention_input()};
    if (l_.is_parallel()) wanted.push_back(hidden());
    projections_.in(l_.norm1, x_BTD_, kept_norm(&SavedBlock::norm1), wanted);
    at::Tensor residual = x_BTD_;
    if (!l_.is_parallel()) {
      residual =
          add_branch({{attended_, &l_.proj}}, l_.proj, l_.scale1, x_BTD_, &SavedBlock::branch1);
      if (saved_ != nullptr) saved_->middle = residual;
      projections_.in(l_.norm2, residual, kept_norm(&SavedBlock::norm2), {hidden()});
    }
    if (!is_output_wanted && trained_.count(l_.scale2) == 0) return {};
    std::vector<Factor> factors = {{activation_, &l_.fc2}};
    if (l_.is_parallel()) factors.push_back({attended_, &l_.proj});
    return add_branch(factors, l_.fc2, l_.scale2, residual, &SavedBlock::branch2);
  }

 private:
  at::Tensor empty(int64_t columns) const { return at::empty({rows_, columns}, w_.compute_type()); }

  SavedNorm* kept_norm(SavedNorm SavedBlock::*place) const {
    return saved_ != nullptr ? &(saved_->*place) : nullptr;
  }

  // Queries, keys and values, and then attention.
  Wanted attention_input() {
    return {&l_.qkv,
            [this]() -> Destination {
              qkv_ = empty(l_.qkv.out);
              const Rows out = rows_of(qkv_);
              const float* bias = w_.bias(l_.qkv);
              if (bias == nullptr && out.storage == cpu::Storage::kFloat32) return {qkv_, {}};
              return {{}, [out, bias](int64_t first_row) {
                        return [out = out.at(first_row, 0), bias](const Tile& tile, int64_t row,
                                                                  int64_t column, int64_t) {
                          cpu::bias_store(tile, bias == nullptr ? nullptr : bias + column,
                                          out.at(row, column));
                        };
                      }};
            },
            [this] { attend(); }};
  }

  void attend() {
    attended_ = empty(l_.width);
    at::Tensor lse;
    if (saved_ != nullptr)
      lse =
          at::empty({x_BTD_.size(0), l_.heads, x_BTD_.size(1)}, x_BTD_.options().dtype(at::kFloat));
    cpu::attention_forward(w_.attention(x_BTD_, qkv_), rows_of(attended_),
                           lse.defined() ? lse.mutable_data_ptr<float>() : nullptr);
    if (saved_ != nullptr) {
      saved_->qkv = qkv_;
      saved_->attended = attended_;
      saved_->lse_BHT = lse;
    }
    qkv_.reset();
  }

  // The MLP's hidden units.
  Wanted hidden() {
    return {&l_.fc1,
            [this]() -> Destination {
              activation_ = empty(l_.hidden);
              Rows kept{nullptr, l_.hidden, rows_of(activation_).storage};
              if (saved_ != nullptr) {
                saved_->pre_activation = empty(l_.hidden);
                kept = rows_of(saved_->pre_activation);
              }
              return {{}, [this, kept](int64_t first_row) { return activate(kept, first_row); }};
            },
            [] {}};
  }

  cpu::Epilogue activate(const Rows& kept, int64_t first_row) const {
    return [out = rows_of(activation_), kept, first_row, form = l_.activation,
            bias = w_.bias(l_.fc1)](const Tile& tile, int64_t row, int64_t column, int64_t) {
      cpu::bias_activation(tile, bias == nullptr ? nullptr : bias + column, form,
                           kept.data == nullptr ? kept : kept.at(first_row + row, column),
                           out.at(first_row + row, column));
    };
  }

  // residual + scale * (the factors' products + bias)
  at::Tensor add_branch(const std::vector<Factor>& factors, const LinearSpec& linear,
                        const std::string& scale_name, const at::Tensor& residual,
                        at::Tensor SavedBlock::*place) {
    at::Tensor out;
    projections_.out(factors, [&]() -> cpu::Epilogue {
      out = at::empty_like(x_BTD_);
      const Rows to = rows_of(out), base = rows_of(residual);
      Rows branch{nullptr, l_.width, to.storage};
      if (saved_ != nullptr && trained_.count(scale_name) != 0) {
        saved_->*place = empty(l_.width);
        branch = rows_of(saved_->*place);
      }
      return [=, bias = w_.bias(linear), scale = w_.vector(scale_name)](
                 const Tile& tile, int64_t row, int64_t column, int64_t) {
        cpu::bias_scale_residual(tile, bias == nullptr ? nullptr : bias + column,
                                 scale == nullptr ? nullptr : scale + column, base.at(row, column),
                                 branch.data == nullptr ? branch : branch.at(row, column),
                                 to.at(row, column));
      };
    });
    return out;
  }

  const BlockWeights& w_;
  const BlockSpec& l_;
  Projections& projections_;
  const at::Tensor x_BTD_;
  SavedBlock* saved_;
  const std::set<std::string>& trained_;
  const int64_t rows_;
  at::Tensor qkv_, attended_, activation_;
};

}  // namespace

at::Tensor normalised(const BlockWeights& weights, const std::string& name, const at::Tensor& x) {
  const int64_t rows = x.numel() / x.size(-1), columns = x.size(-1);
  at::Tensor y = empty_factor(rows, columns, weights.storage());
  norm_rows(rows_of(x), rows, columns, weights.norm(name), rows_of(y));
  return y;
}

at::Tensor forward(const BlockWeights& weights, Projections& projections, const at::Tensor& x_BTD,
                   SavedBlock* saved, const std::set<std::string>& trained, bool is_output_wanted) {
  return Forward(weights, projections, x_BTD, saved, trained).run(is_output_wanted);
}

}  // namespace vit22b::fused
