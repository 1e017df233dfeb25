#include "measure/compared_outputs.h"

#include <ATen/ATen.h>

#include "eval/finite.h"
#include "model/sequence.h"

namespace vit22b {
namespace {

/// What batches make, until they are one.
struct OutputParts {
  std::vector<at::Tensor> indices, pooled, patches, answers;
  std::vector<std::vector<at::Tensor>> layers;
};

at::Tensor on_cpu(const at::Tensor& tensor) {
  return tensor.cpu().to(at::kFloat);
}

void add_batch(LoadedModel& model, const Batch& batch, OutputParts& parts, ComparedOutputs& made) {
  std::set<int64_t> taps;
  for (int64_t block = 0; block < model.info.config.depth; ++block) taps.insert(block);
  const at::Tensor images = batch.images_BCHW();
  if (!images.defined()) return;  // none of them could be read
  const VitOutputs outputs = model.predictor->features(images, taps);
  const Sequence sequence = sequence_of(model.info.config, images);
  made.rows = sequence.grid_height, made.columns = sequence.grid_width;
  parts.indices.push_back(batch.indices_B);
  parts.pooled.push_back(on_cpu(outputs.pooled_BD));
  check_finite(parts.pooled.back(), "pooled features", batch.ids);
  parts.patches.push_back(on_cpu(outputs.tokens_BTD.slice(1, sequence.prefix_tokens)));
  parts.layers.resize(outputs.blocks.size());
  for (const auto& [block, tokens_BTD] : outputs.blocks)
    parts.layers[static_cast<size_t>(block)].push_back(
        on_cpu(tokens_BTD.slice(1, sequence.prefix_tokens).mean(1, false, at::kFloat)));
  if (outputs.logits_BC.defined() && !model.info.config.embeds_images())
    parts.answers.push_back(outputs.logits_BC.cpu().argmax(1));
}

/// Where `wanted` has each of `indices`; both ascend.
at::Tensor places_in(const at::Tensor& wanted, const at::Tensor& indices) {
  return at::isin(indices, wanted).nonzero().squeeze(1);
}

void keep_places(ComparedOutputs& made, const at::Tensor& other_indices) {
  const at::Tensor places = places_in(other_indices, made.indices_N);
  if (places.size(0) == made.indices_N.size(0)) return;
  const auto keep = [&](at::Tensor& rows) {
    if (rows.defined()) rows = rows.index_select(0, places);
  };
  for (at::Tensor* one : {&made.indices_N, &made.pooled_ND, &made.patches_NTD, &made.answers_N})
    keep(*one);
  for (at::Tensor& layer : made.layers) keep(layer);
}

}  // namespace

ComparedOutputs outputs_to_compare(LoadedModel& model, const DataSource& source,
                                   const EvalOptions& options,
                                   std::vector<BadSample>& bad_samples) {
  OutputParts parts;
  ComparedOutputs made;
  bad_samples = for_each_batch(source, Transforms(model.info.pp_eval), options,
                               [&](Batch& batch) { add_batch(model, batch, parts, made); });
  made.indices_N = at::cat(parts.indices), made.pooled_ND = at::cat(parts.pooled);
  made.patches_NTD = at::cat(parts.patches);
  if (!parts.answers.empty()) made.answers_N = at::cat(parts.answers);
  made.layers.reserve(parts.layers.size());
  for (const std::vector<at::Tensor>& layer : parts.layers) made.layers.push_back(at::cat(layer));
  return made;
}

void keep_common(ComparedOutputs& first, ComparedOutputs& second) {
  keep_places(first, second.indices_N);
  keep_places(second, first.indices_N);
}

}  // namespace vit22b
