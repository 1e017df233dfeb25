#include <ATen/ATen.h>

#include "core/log.h"
#include "eval/finite.h"
#include "explain/method.h"
#include "explain/pictures.h"

namespace vit22b {
namespace {

/// The image, the mean of the heads over it, and each head.
at::Tensor attention_picture(const at::Tensor& image_CHW, const at::Tensor& head_maps) {
  std::vector<at::Tensor> pictures = {image_picture(image_CHW),
                                      attention_overlay(image_CHW, head_maps.mean(0))};
  for (const at::Tensor& map : head_maps.unbind(0))
    pictures.push_back(attention_overlay(image_CHW, map));
  return side_by_side(pictures);
}

/// Says what is drawn where a user has not chosen it.
void say_which_block(const ExplainRequest& request, const ViTConfig& config) {
  if (request.block >= 0 || config.pool.global_pool == "map") return;
  log_info(concat("the model pools by '", config.pool.global_pool, "': attention of ",
                  config.tokens.class_token ? "the class token" : "all tokens",
                  " in the last block, ", config.depth - 1, "; --block chooses another"));
}

}  // namespace

at::Tensor attention_maps(const ExplainedModel& model, const at::Tensor& images_BCHW,
                          int64_t block) {
  const ViTConfig& config = model.config;
  const std::vector<int64_t> grid = model.grid(images_BCHW);
  if (block < 0 && config.pool.global_pool == "map")
    return model.predictor.pool_attention(images_BCHW).cpu().unflatten(2, grid);
  const int64_t of_block = block < 0 ? config.depth - 1 : block;
  const at::Tensor weights_BHTT = model.predictor.attention(images_BCHW, of_block).cpu();
  const at::Tensor by_BHT =
      config.tokens.class_token ? weights_BHTT.select(2, 0) : weights_BHTT.mean(/*dim=*/2);
  return by_BHT.slice(2, config.num_prefix_tokens()).unflatten(2, grid);
}

void explain_attention(const ExplainedModel& model, const ExplainRequest& request,
                       const ImageBatches& images, const ExplainSink& sink) {
  say_which_block(request, model.config);
  images([&](const Batch& batch) {
    const at::Tensor images_BCHW = batch.images_BCHW();
    const at::Tensor head_maps = attention_maps(model, images_BCHW, request.block);
    check_finite(head_maps, "attention", batch.ids);
    for (int64_t i = 0; i < head_maps.size(0); ++i)
      sink.add({batch.ids[static_cast<size_t>(i)], head_maps[i],
                attention_picture(images_BCHW[i], head_maps[i])});
  });
}

}  // namespace vit22b
