#include "measure/activation_statistics.h"

#include <ATen/ATen.h>

#include <cmath>

#include "core/error.h"
#include "eval/finite.h"
#include "kernels/attention.h"
#include "model/sequence.h"

namespace vit22b {
namespace {

/// Adds to a sum that may not have begun.
void sum_up(at::Tensor& sum, const at::Tensor& more) {
  sum = sum.defined() ? sum + more : more;
}

std::vector<double> means_of(const at::Tensor& sum_H, int64_t count) {
  const at::Tensor means = sum_H / static_cast<double>(count);
  return {means.const_data_ptr<double>(), means.const_data_ptr<double>() + means.numel()};
}

}  // namespace

void BlockActivations::add(const ObservedBlock& block, int64_t prefix_tokens) {
  const at::Tensor tokens_BTD = block.output_BTD.cpu().to(at::kFloat);
  values.add(tokens_BTD);
  const at::Tensor norms_BT = tokens_BTD.norm(2, {-1}, /*keepdim=*/false, at::kDouble);
  norms.add(norms_BT);
  prefix_norms.add(norms_BT.slice(1, 0, prefix_tokens));
  patches.add(norms_BT.slice(1, prefix_tokens));
  const HeadAttention heads = attention_by_head(block.qk.q_BHTK, block.qk.k_BHTK);
  // Of one token alone the uniform entropy is 0, and so is each head's.
  const double uniform = std::log(static_cast<double>(std::max<int64_t>(2, norms_BT.size(1))));
  const at::Tensor entropy = heads.entropy_BH.cpu().sum(0);
  sum_up(entropy_H, entropy);
  sum_up(entropy_share_H, entropy / uniform);
  sum_up(information_share_H, heads.information_BH.cpu().sum(0) / uniform);
  num_pictures += norms_BT.size(0);
}

std::vector<double> BlockActivations::entropy() const {
  return means_of(entropy_H, num_pictures);
}

std::vector<double> BlockActivations::entropy_share() const {
  return means_of(entropy_share_H, num_pictures);
}

std::vector<int64_t> BlockActivations::dead_heads() const {
  std::vector<int64_t> dead;
  const std::vector<double> shares = means_of(information_share_H, num_pictures);
  for (size_t head = 0; head < shares.size(); ++head)
    if (shares[head] < kDeadShare) dead.push_back(static_cast<int64_t>(head));
  return dead;
}

ActivationStatistics activation_statistics(LoadedModel& model, const DataSource& source,
                                           const EvalOptions& options) {
  const at::NoGradGuard no_grad;
  if (model.info.config.reads_words())
    throw CheckpointError(model.checkpoint.path().string(),
                          " reads texts; want a model that sees pictures");
  ActivationStatistics found;
  found.blocks.resize(static_cast<size_t>(model.info.config.depth));
  const auto act = [&](Batch& batch) {
    const at::Tensor images = batch.images_BCHW();
    if (!images.defined()) return;  // none of them could be read
    const int64_t prefix = sequence_of(model.info.config, images).prefix_tokens;
    model.predictor->observe(images, [&](const ObservedBlock& block) {
      check_finite(block.output_BTD, concat("block.", block.index), batch.ids);
      found.blocks[static_cast<size_t>(block.index)].add(block, prefix);
    });
    found.num_images += images.size(0);
  };
  found.bad_samples = for_each_batch(source, Transforms(model.info.pp_eval), options, act);
  return found;
}

}  // namespace vit22b
