#include "model/engine/cpu_steps.h"

namespace vit22b::fused {
namespace {

using cpu::Term;

at::Tensor some_rows(const at::Tensor& tensor, const Share& rows) {
  return tensor.narrow(0, rows.first, rows.count);
}

struct Normalised {
  at::Tensor y_ND;  // a factor
  SavedNorm saved;
};

// One sum a token (two with centring) goes over the ranks.
Normalised normalise(const BlockWeights& weights, const Mesh& mesh, const BlockNorm& norm,
                     const at::Tensor& x_ND) {
  const auto& [name, form, whole] = norm;
  const auto width = static_cast<double>(whole);
  at::Tensor centred = x_ND.to(at::kFloat);
  if (form.is_centred) {
    const at::Tensor sum = centred.sum(1, /*keepdim=*/true);
    mesh.sum_(sum, MeshAxis::kModel, name + " mean");
    centred = centred - sum / width;
  }
  at::Tensor square = centred.square().sum(1, /*keepdim=*/true);
  mesh.sum_(square, MeshAxis::kModel, name + " mean square");
  const at::Tensor rstd = (square / width + form.eps).rsqrt();
  at::Tensor y = (centred * rstd).mul_(weights.tensors().at(name + ".weight"));
  if (form.has_bias) y.add_(weights.tensors().at(name + ".bias"));
  const at::Tensor out = empty_factor(x_ND.size(0), x_ND.size(1), weights.storage()).copy_(y);
  return {out, {{}, centred, rstd}};
}

// A wanted product on its way round the ring.
struct Sum {
  const LinearSpec& linear;
  Destination to;
  at::Tensor sum;  // float32
};

class RingSteps : public CpuSteps {
 public:
  RingSteps(const BlockWork& work, const Mesh& mesh) : CpuSteps(work), mesh_(mesh) {}

  void in(const BlockNorm& norm, const at::Tensor& x_BTD, SavedNorm* kept,
          const std::vector<InProduct>& wanted) override {
    const at::Tensor x_ND = x_BTD.view({-1, width()});
    Normalised normed =
        norm.exists() ? normalise(w_, mesh_, norm, x_ND) : Normalised{g_.factor(x_ND), {}};
    std::vector<Sum> sums;
    sums.reserve(wanted.size());
    for (const InProduct& p : wanted)
      sums.push_back(begin_sum(*p.linear, p.linear->out,
                               begin(p, p.is_gated ? sums.back().to.result : at::Tensor())));
    ring_gather(
        mesh_, normed.y_ND,
        [&](const RingBlock& block) {
          // The weight's columns of the block's source.
          for (const Sum& s : sums)
            add(block, s, w_.matrix(s.linear).at(0, block.source * width()), true);
          if (kept != nullptr) normed.saved.gathered.push_back(block);
        },
        norm.name);
    if (kept != nullptr) *kept = std::move(normed.saved);
    std::vector<at::Tensor> results = results_of(std::move(sums));
    for (size_t i = 0; i < wanted.size(); ++i) wanted[i].done(std::move(results[i]));
  }

  at::Tensor out(const std::vector<Factor>& factors, const Branch& branch,
                 const at::Tensor& residual_BTD, at::Tensor* kept) const override {
    const at::Tensor sum = reduce(factors, /*is_output=*/true, factors[0].linear->weight);
    const Destination to = begin(branch, residual_BTD, kept);
    if (to.is_whole) return joined(branch, residual_BTD, sum, kept);
    to.epilogue(0)(tile_of(sum), 0, 0, 0);
    return joined(branch, residual_BTD, to.result, kept);
  }

  at::Tensor norm(const BlockNorm& norm, const at::Tensor& x_NC) const override {
    return normalise(w_, mesh_, norm, x_NC).y_ND;
  }

  at::Tensor back_norm(const BlockNorm& norm, const at::Tensor& x_NC,
                       const at::Tensor& d_y_NC) const override {
    return through_norm(norm, normalise(w_, mesh_, norm, x_NC).saved, d_y_NC.to(at::kFloat));
  }

  void back_out(const at::Tensor& gradient_ND, const Branch& branch, const at::Tensor& kept,
                const std::vector<OutGradient>& wanted) override {
    const at::Tensor d_branch = branch_gradient(gradient_ND, branch, kept);
    std::vector<RingBlock> gathered;  // every rank's gradient of the branch
    std::vector<Sum> sums;
    sums.reserve(wanted.size());
    for (const OutGradient& p : wanted)
      sums.push_back(begin_sum(*p.linear, p.linear->in, begin(p)));
    ring_gather(
        mesh_, d_branch,
        [&](const RingBlock& block) {
          // The weight's rows of the block's source.
          for (const Sum& s : sums)
            add(block, s, w_.matrix(s.linear).at(block.source * width(), 0), false);
          gathered.push_back(block);
        },
        branch.biased->weight + " gradient");
    for (size_t i = 0; i < wanted.size(); ++i) finish(wanted[i], sums[i].to);
    std::vector<at::Tensor> results = results_of(std::move(sums));
    for (size_t i = 0; i < wanted.size(); ++i) {
      const OutGradient& p = wanted[i];
      out_weight_gradient(*p.linear, gathered, *p.input);
      if (p.is_activated) p.input->reset();
      p.done(std::move(results[i]));
    }
  }

  at::Tensor back_in(std::vector<Factor> factors, const BlockNorm& norm, const at::Tensor&,
                     const SavedNorm& kept, const at::Tensor& residual_gradient_ND) override {
    for (const Factor& f : factors) in_weight_gradient(f, kept);
    const at::Tensor d_y =
        reduce(factors, /*is_output=*/false, factors[0].linear->weight + " input gradient");
    if (!norm.exists()) return d_y + residual_gradient_ND;
    return through_norm(norm, kept, d_y).add_(residual_gradient_ND);
  }

 private:
  Sum begin_sum(const LinearSpec& linear, int64_t columns, Destination to) const {
    const at::Tensor sum = to.is_whole ? to.result : at::empty({rows(), columns});
    return {linear, std::move(to), sum};
  }

  // The sums themselves are freed.
  static std::vector<at::Tensor> results_of(std::vector<Sum> sums) {
    std::vector<at::Tensor> results;
    results.reserve(sums.size());
    for (Sum& s : sums) results.push_back(std::move(s.to.result));
    return results;
  }

  // sum += block · the part of the weight that belongs to its source
  void add(const RingBlock& block, const Sum& s, const cpu::Rows& weight,
           bool is_transposed) const {
    cpu::Epilogue epilogue;
    if (block.is_last && !s.to.is_whole) epilogue = s.to.epilogue(block.rows.first);
    cpu::product_into(
        tile_of(some_rows(s.sum, block.rows)),
        {{.a = rows_of(block.tensor), .b = weight, .is_b_transposed = is_transposed, .k = width()}},
        !block.is_first, arithmetic_, epilogue ? &epilogue : nullptr);
  }

  // The sum over the ranks of the factors' products, each rank's features of it: of the layers'
  // outputs (values · Wᵀ), or of the gradients of their inputs (values · W).
  at::Tensor reduce(const std::vector<Factor>& factors, bool is_output,
                    const std::string& name) const {
    return ring_reduce(
        mesh_, {factors[0].values.size(0), width()},
        [&](const RingPart& part) {
          const int64_t first = part.destination * width();
          std::vector<Term> terms;
          terms.reserve(factors.size());
          for (const Factor& f : factors)
            terms.push_back(
                {.a = rows_of(some_rows(f.values, part.rows)),
                 .b = w_.matrix(*f.linear).at(is_output ? first : 0, is_output ? 0 : first),
                 .is_b_transposed = is_output,
                 .k = is_output ? f.linear->in : f.linear->out});
          cpu::product_into(tile_of(part.sum), terms, false, arithmetic_);
        },
        name);
  }

  // Rows of each rank's branch.
  void out_weight_gradient(const LinearSpec& linear, const std::vector<RingBlock>& gathered,
                           const at::Tensor& input) const {
    const Target weight = g_.target(linear.weight);
    if (weight.data == nullptr) return;
    for (const RingBlock& block : gathered)
      add_weight_gradient({weight.data + block.source * width() * weight.columns, weight.columns,
                           width(), linear.in},
                          block.tensor, some_rows(input, block.rows), block.rows.first > 0);
  }

  // Columns of each rank's features.
  void in_weight_gradient(const Factor& f, const SavedNorm& kept) const {
    const Target weight = g_.target(f.linear->weight);
    if (weight.data == nullptr) return;
    for (const RingBlock& block : kept.gathered)
      add_weight_gradient(
          {weight.data + f.linear->first_row * weight.columns + block.source * width(),
           weight.columns, f.linear->out, width()},
          some_rows(f.values, block.rows), block.tensor, block.rows.first > 0);
  }

  // d_outputᵀ · input; the first rows overwrite where the gradient begins here.
  void add_weight_gradient(const cpu::Tile& target, const at::Tensor& d_output,
                           const at::Tensor& input, bool is_begun) const {
    cpu::product_into(target,
                      {{.a = rows_of(d_output),
                        .is_a_transposed = true,
                        .b = rows_of(input),
                        .k = d_output.size(0)}},
                      !g_.is_overwrite() || is_begun, arithmetic_);
  }

  at::Tensor through_norm(const BlockNorm& norm, const SavedNorm& kept,
                          const at::Tensor& d_y) const {
    const auto& [name, form, size] = norm;
    const auto whole = static_cast<double>(size);
    const int64_t own = d_y.size(1);
    const at::Tensor x_hat = kept.centred_ND * kept.rstd_N1;
    if (const Target weight = g_.target(name, ".weight"); weight.data != nullptr)
      at::from_blob(weight.data, {own}).add_((d_y * x_hat).sum(0));
    if (const Target bias = g_.target(name, ".bias"); bias.data != nullptr)
      at::from_blob(bias.data, {own}).add_(d_y.sum(0));
    const at::Tensor scaled = d_y * w_.tensors().at(name + ".weight");
    std::vector<at::Tensor> sums = {(scaled * x_hat).sum(1, /*keepdim=*/true)};
    if (form.is_centred) sums.push_back(scaled.sum(1, /*keepdim=*/true));
    mesh_.sum_together_(sums, MeshAxis::kModel, name + " gradient");
    at::Tensor d_x = scaled - x_hat * (sums[0] / whole);
    if (form.is_centred) d_x = d_x - sums[1] / whole;
    return d_x * kept.rstd_N1;
  }

  const Mesh& mesh_;
};

}  // namespace

std::unique_ptr<BlockSteps> make_ring_steps(const BlockWork& work, const Mesh& mesh) {
  return std::make_unique<RingSteps>(work, mesh);
}

}  // namespace vit22b::fused
