#include "transfer/head_grid.h"

#include <numbers>

#include "core/error.h"
#include "core/rng.h"
#include "kernels/cpu/product.h"
#include "kernels/shape.h"
#include "model/engine/fused_block.h"

namespace vit22b {
namespace {

using cpu::Tile;

constexpr double kWeightStddev = 0.01;
constexpr double kBatchOfBaseRates = 256;

/// SGD on the tile of a sum of gradients: what lies there stays in cache.
class SgdEpilogue {
 public:
  SgdEpilogue(const at::Tensor& weights_DN, const at::Tensor& momentum_DN,
              const at::Tensor& rates_N, float momentum, float scale)
      : weights_(fused::tile_of(weights_DN)),
        momenta_(fused::tile_of(momentum_DN)),
        rates_(rates_N.const_data_ptr<float>()),
        momentum_(momentum),
        scale_(scale) {}

  void operator()(const Tile& gradient, int64_t row, int64_t column, int64_t /*share*/) const {
    for (int64_t i = 0; i < gradient.rows; ++i) {
      const float* g = gradient.data + i * gradient.stride;
      float* w = weights_.data + (row + i) * weights_.stride + column;
      float* m = momenta_.data + (row + i) * momenta_.stride + column;
      const float* rate = rates_ + column;
#pragma omp simd
      for (int64_t j = 0; j < gradient.columns; ++j) {
        m[j] = momentum_ * m[j] + scale_ * g[j];
        w[j] -= rate[j] * m[j];
      }
    }
  }

 private:
  Tile weights_, momenta_;
  const float* rates_;
  float momentum_, scale_;
};

}  // namespace

std::vector<double> head_grid_rates() {
  return {1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1};
}

HeadRow::HeadRow(int64_t width, int64_t num_heads, int64_t num_classes, uint64_t seed)
    : num_heads_(num_heads), num_classes_(num_classes) {
  const int64_t columns = num_heads * num_classes;
  // All heads start from the same values: what differs is the rate alone.
  at::Tensor one_DC = at::empty({width, num_classes});
  CounterRng(seed, "head grid", "weights")
      .fill_normal({one_DC.data_ptr<float>(), static_cast<size_t>(one_DC.numel())}, 0);
  weights_DN_ = one_DC.mul_(kWeightStddev).repeat({1, num_heads});
  momentum_DN_ = at::zeros({width, columns});
  bias_N_ = at::zeros({columns});
  bias_momentum_N_ = at::zeros({columns});
}

at::Tensor HeadRow::scores(const at::Tensor& features_BD) const {
  check_shape("head grid", "features", features_BD, {{"B"}, {"D", weights_DN_.size(0)}});
  at::Tensor scores_BN = at::empty({features_BD.size(0), bias_N_.size(0)});
  const cpu::Rows out = fused::rows_of(scores_BN);
  const float* bias = bias_N_.const_data_ptr<float>();
  cpu::product(features_BD.size(0), bias_N_.size(0),
               {{.a = fused::rows_of(features_BD),
                 .b = fused::rows_of(weights_DN_),
                 .k = features_BD.size(1)}},
               [&](const Tile& tile, int64_t row, int64_t column, int64_t) {
                 cpu::bias_store(tile, bias + column, out.at(row, column));
               });
  return scores_BN.view({-1, num_heads_, num_classes_});
}

void HeadRow::step(const at::Tensor& features_BD, const at::Tensor& labels_B,
                   const std::vector<double>& rates_H, double momentum) {
  const at::NoGradGuard no_grad;
  at::Tensor errors_BHC = at::softmax(scores(features_BD), 2);
  const at::Tensor labels_BH1 = labels_B.view({-1, 1, 1}).expand({-1, num_heads_, 1});
  errors_BHC.scatter_add_(2, labels_BH1, at::full({1}, -1.F).expand_as(labels_BH1));
  const at::Tensor errors_BN = errors_BHC.flatten(1);
  const at::Tensor rates_N = at::tensor(rates_H, at::kFloat).repeat_interleave(num_classes_);
  const auto scale = 1 / static_cast<float>(features_BD.size(0));
  cpu::product(
      features_BD.size(1), errors_BN.size(1),
      {{.a = fused::rows_of(features_BD),
        .is_a_transposed = true,
        .b = fused::rows_of(errors_BN),
        .k = features_BD.size(0)}},
      SgdEpilogue(weights_DN_, momentum_DN_, rates_N, static_cast<float>(momentum), scale));
  bias_momentum_N_.mul_(momentum).add_(errors_BN.sum(0), scale);
  bias_N_.sub_(rates_N * bias_momentum_N_);
}

LinearHead HeadRow::head(int64_t index) const {
  const int64_t first = index * num_classes_;
  return {weights_DN_.slice(1, first, first + num_classes_).clone(at::MemoryFormat::Contiguous),
          bias_N_.slice(0, first, first + num_classes_).clone()};
}

std::vector<HeadRow> train_head_grid(const std::vector<HeadInput>& inputs, const at::Tensor& labels,
                                     const at::Tensor& train, int64_t num_classes,
                                     const HeadGridOptions& options) {
  std::vector<HeadRow> rows;
  rows.reserve(inputs.size());
  for (const HeadInput& input : inputs)
    rows.emplace_back(input.width, static_cast<int64_t>(options.rates.size()), num_classes,
                      options.seed);
  const int64_t samples = train.size(0), batch = std::min(options.batch_size, samples);
  const int64_t per_epoch = samples / batch, total = options.epochs * per_epoch;
  at::Tensor drawn = at::empty({batch}, at::kLong);
  for (int64_t step = 0; step < total; ++step) {
    if (options.watch.should_stop()) throw Stopped("stopped; no head was written");
    const int64_t epoch = step / per_epoch, first = step % per_epoch * batch;
    const RandomPermutation order(static_cast<uint64_t>(samples), options.seed,
                                  concat("head grid epoch ", epoch));
    for (int64_t i = 0; i < batch; ++i)
      drawn[i] = static_cast<int64_t>(order(static_cast<uint64_t>(first + i)));
    const at::Tensor indices = train.index_select(0, drawn);
    const at::Tensor labels_B = labels.index_select(0, indices);
    const double progress = static_cast<double>(step) / static_cast<double>(total);
    const double curve = (1 + std::cos(std::numbers::pi * progress)) / 2;
    std::vector<double> rates = options.rates;
    for (double& rate : rates) rate *= curve * static_cast<double>(batch) / kBatchOfBaseRates;
    for (size_t i = 0; i < inputs.size(); ++i)
      rows[i].step(inputs[i].rows(indices), labels_B, rates, options.momentum);
    options.watch.on_progress(step + 1, total);
  }
  return rows;
}

}  // namespace vit22b
