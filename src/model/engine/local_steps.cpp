#include "model/engine/cpu_steps.h"

namespace vit22b::fused {
namespace {

using cpu::Rows;
using cpu::Term;
using cpu::Tile;

class LocalSteps : public CpuSteps {
 public:
  LocalSteps(const BlockWork& work, const PackedBlock* packed) : CpuSteps(work), packed_(packed) {}

  void in(const BlockNorm& norm, const at::Tensor& x_BTD, SavedNorm*,
          const std::vector<InProduct>& wanted) override {
    input_ = input_of(norm, x_BTD);
    at::Tensor gate;
    for (size_t i = 0; i < wanted.size(); ++i) {
      const InProduct& p = wanted[i];
      Destination to = begin(p, std::exchange(gate, {}));
      Terms terms;
      add_output({input_, p.linear}, terms);
      multiply(to, p.linear->out, terms.all);
      if (i + 1 < wanted.size() && wanted[i + 1].is_gated) gate = to.result;
      p.done(std::move(to.result));
    }
  }

  at::Tensor out(const std::vector<Factor>& factors, const Branch& branch,
                 const at::Tensor& residual_BTD, at::Tensor* kept) const override {
    Terms terms;
    for (const Factor& f : factors) add_output(f, terms);
    const Destination to = begin(branch, residual_BTD, kept);
    multiply(to, width(), terms.all);
    return joined(branch, residual_BTD, to.result, kept);
  }

  at::Tensor norm(const BlockNorm& norm, const at::Tensor& x_NC) const override {
    return normalised(w_, norm, x_NC);
  }

  at::Tensor back_norm(const BlockNorm& norm, const at::Tensor& x_NC,
                       const at::Tensor& d_y_NC) const override {
    at::Tensor gradient = d_y_NC.to(at::kFloat, false, /*copy=*/true).contiguous();
    norm_rows_backward(rows_of(x_NC), tile_of(gradient), w_.norm(norm),
                       g_.target(norm.name, ".weight").data, g_.target(norm.name, ".bias").data);
    return gradient;
  }

  void back_out(const at::Tensor& gradient_ND, const Branch& branch, const at::Tensor& kept,
                const std::vector<OutGradient>& wanted) override {
    const at::Tensor d_branch = branch_gradient(gradient_ND, branch, kept);
    for (const OutGradient& p : wanted) {
      Destination to = begin(p);
      Terms terms;
      add_input({d_branch, p.linear}, terms);
      multiply(to, p.linear->in, terms.all);
      finish(p, to);
      g_.weight_gradient(*p.linear, d_branch, *p.input);
      if (p.is_activated) p.input->reset();
      p.done(std::move(to.result));
    }
  }

  at::Tensor back_in(std::vector<Factor> factors, const BlockNorm& norm, const at::Tensor& x_BTD,
                     const SavedNorm&, const at::Tensor& residual_gradient_ND) override {
    at::Tensor y = input_of(norm, x_BTD);
    Terms terms;
    for (const Factor& f : factors) {
      g_.weight_gradient(*f.linear, f.values, y);
      add_input(f, terms);
    }
    // In the memory of y where that fits and is no other's.
    const bool is_own = norm.exists() && y.scalar_type() == at::kFloat;
    const at::Tensor d_y = is_own ? y : at::empty_like(y, at::kFloat);
    cpu::product_into(tile_of(d_y), terms.all, false, arithmetic_);
    factors.clear();
    y.reset();
    if (!norm.exists()) return d_y + residual_gradient_ND;
    return through_norm(norm, x_BTD, d_y, residual_gradient_ND);
  }

 private:
  // What in-projections read: the norm of x, or x itself.
  at::Tensor input_of(const BlockNorm& norm, const at::Tensor& x_BTD) const {
    return norm.exists() ? normalised(w_, norm, x_BTD) : g_.factor(x_BTD.flatten(0, 1));
  }

  void multiply(const Destination& to, int64_t columns, const std::vector<Term>& terms) const {
    if (to.is_whole)
      cpu::product_into(tile_of(to.result), terms, false, arithmetic_);
    else
      cpu::product(rows(), columns, terms, to.epilogue(0), arithmetic_);
  }

  // A sum of products, and what of it nobody else holds.
  struct Terms {
    std::vector<Term> all;
    std::vector<at::Tensor> held;
  };

  // values · Wᵀ: a linear layer's output.
  void add_output(const Factor& f, Terms& terms) const {
    terms.all.push_back({.a = rows_of(f.values),
                         .b = w_.matrix(*f.linear),
                         .is_b_transposed = true,
                         .packed = packed_ != nullptr ? packed_->find(*f.linear) : nullptr,
                         .k = f.linear->in});
    if (!f.linear->adapter.exists()) return;
    terms.held.push_back(g_.adapter_inner(*f.linear, f.values));
    terms.all.push_back({.a = rows_of(terms.held.back()),
                         .b = g_.adapter_b(*f.linear),
                         .is_b_transposed = true,
                         .k = f.linear->adapter.rank});
  }

  // values · W: the gradient of its input.
  void add_input(const Factor& f, Terms& terms) const {
    terms.all.push_back({.a = rows_of(f.values), .b = w_.matrix(*f.linear), .k = f.linear->out});
    if (!f.linear->adapter.exists()) return;
    terms.held.push_back(g_.adapter_inner_gradient(*f.linear, f.values));
    terms.all.push_back({.a = rows_of(terms.held.back()),
                         .b = g_.adapter_a(*f.linear),
                         .k = f.linear->adapter.rank});
  }

  // norm's gradient in place of d_y, plus the residual's.
  at::Tensor through_norm(const BlockNorm& norm, const at::Tensor& x, const at::Tensor& d_y,
                          const at::Tensor& residual_gradient) const {
    const Tile all = tile_of(d_y), residual = tile_of(residual_gradient);
    const int64_t d = all.columns;
    norm_rows_backward(rows_of(x), all, w_.norm(norm), g_.target(norm.name, ".weight").data,
                       g_.target(norm.name, ".bias").data, [&](int64_t first, int64_t count) {
                         const Rows rows{all.data + first * d, d};
                         cpu::bias_scale_residual({residual.data + first * d, d, count, d}, nullptr,
                                                  nullptr, rows, {}, rows);
                       });
    return d_y;
  }

  const PackedBlock* packed_;
  at::Tensor input_;  // of the last in-projections; activation_bytes counts it beside the output
};

}  // namespace

std::unique_ptr<BlockSteps> make_local_steps(const BlockWork& work, const PackedWeights* packed) {
  return std::make_unique<LocalSteps>(work, dynamic_cast<const PackedBlock*>(packed));
}

}  // namespace vit22b::fused
