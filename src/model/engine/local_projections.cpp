#include "model/engine/projections.h"

namespace vit22b::fused {
namespace {

using cpu::Rows;
using cpu::Term;
using cpu::Tile;

class LocalProjections : public Projections {
 public:
  LocalProjections(const BlockWeights& weights, const PackedBlock* packed,
                   const BlockGradients* gradients)
      : w_(weights),
        packed_(packed),
        g_(gradients),
        arithmetic_(cpu::best_arithmetic(weights.storage())) {}

  void in(const std::string& norm, const at::Tensor& x, SavedNorm*,
          const std::vector<Wanted>& wanted) override {
    input_ = normalised(w_, norm, x);
    for (const Wanted& w : wanted)
      multiply(output_term({input_, w.linear}), input_, w.linear->out, w);
  }

  void out(const std::vector<Factor>& factors,
           const std::function<cpu::Epilogue()>& begin) const override {
    std::vector<Term> terms;
    terms.reserve(factors.size());
    for (const Factor& f : factors) terms.push_back(output_term(f));
    cpu::product(factors[0].values.size(0), w_.block().width, terms, begin(), arithmetic_);
  }

  void back_out(const at::Tensor& branch_gradient, const LinearSpec& biased,
                const std::vector<Wanted>& wanted) override {
    branch_ = g_->factor(branch_gradient);
    g_->column_sums(biased, branch_);
    for (const Wanted& w : wanted)
      multiply(input_term({branch_, w.linear}), branch_, w.linear->in, w);
    branch_.reset();
  }

  void out_weight_gradient(const LinearSpec& linear, const at::Tensor& input) const override {
    g_->weight_gradient(linear, branch_, input);
  }

  at::Tensor back_in(std::vector<Factor> factors, const std::string& norm, const at::Tensor& x,
                     const SavedNorm&, const at::Tensor& residual_gradient) const override {
    at::Tensor y = normalised(w_, norm, x);
    std::vector<Term> terms;
    terms.reserve(factors.size());
    for (const Factor& f : factors) {
      g_->weight_gradient(*f.linear, f.values, y);
      terms.push_back(input_term(f));
    }
    // In the memory of y where that fits.
    const at::Tensor d_y = y.scalar_type() == at::kFloat ? y : at::empty_like(y, at::kFloat);
    cpu::product_into(tile_of(d_y), terms, false, arithmetic_);
    factors.clear();
    y.reset();
    return through_norm(norm, x, d_y, residual_gradient);
  }

 private:
  void multiply(const Term& term, const at::Tensor& factor, int64_t columns,
                const Wanted& wanted) const {
    const Destination to = wanted.begin();
    if (to.whole.defined())
      cpu::product_into(tile_of(to.whole), {term}, false, arithmetic_);
    else
      cpu::product(factor.size(0), columns, {term}, to.epilogue(0), arithmetic_);
    wanted.done();
  }

  // values · Wᵀ: a linear layer's output.
  Term output_term(const Factor& f) const {
    return {.a = rows_of(f.values),
            .b = w_.matrix(*f.linear),
            .is_b_transposed = true,
            .packed = packed_ != nullptr ? packed_->find(*f.linear) : nullptr,
            .k = f.linear->in};
  }

  // values · W: the gradient of its input.
  Term input_term(const Factor& f) const {
    return {.a = rows_of(f.values), .b = w_.matrix(*f.linear), .k = f.linear->out};
  }

  // norm's gradient in place of d_y, plus the residual's.
  at::Tensor through_norm(const std::string& name, const at::Tensor& x, const at::Tensor& d_y,
                          const at::Tensor& residual_gradient) const {
    const Tile all = tile_of(d_y), residual = tile_of(residual_gradient);
    const int64_t d = all.columns;
    norm_rows_backward(rows_of(x), all, w_.norm(name), g_->target(name, ".weight").data,
                       g_->target(name, ".bias").data, [&](int64_t first, int64_t count) {
                         const Rows rows{all.data + first * d, d};
                         cpu::bias_scale_residual({residual.data + first * d, d, count, d}, nullptr,
                                                  nullptr, rows, {}, rows);
                       });
    return d_y;
  }

  const BlockWeights& w_;
  const PackedBlock* packed_;
  const BlockGradients* g_;
  const cpu::Arithmetic arithmetic_;
  at::Tensor input_;   // of the last in-projections; activation_bytes counts it beside the output
  at::Tensor branch_;  // a branch's gradient, in back_out
};

}  // namespace

std::unique_ptr<Projections> make_local_projections(const BlockWeights& weights,
                                                    const PackedBlock* packed,
                                                    const BlockGradients* gradients) {
  return std::make_unique<LocalProjections>(weights, packed, gradients);
}

std::unique_ptr<Projections> make_projections(const BlockWeights& weights, const Mesh& mesh,
                                              const PackedBlock* packed,
                                              const BlockGradients* gradients) {
  return mesh.size(MeshAxis::kModel) > 1 ? make_ring_projections(weights, mesh, gradients)
                                         : make_local_projections(weights, packed, gradients);
}

}  // namespace vit22b::fused
