#include "plan/other_models.h"

#include <algorithm>

#include "checkpoint/model_folder.h"
#include "core/text.h"
#include "data/tokenizer.h"
#include "model/flops.h"

namespace vit22b {
namespace {

ViTConfig config_at(const std::string& checkpoint) {
  return read_model_info(resolve_checkpoint(checkpoint)).config;
}

// "train:4000" is to be of so many pieces; another is a file.
int64_t num_pieces(const std::string& tokenizer) {
  constexpr std::string_view kTrain = "train:";
  if (!tokenizer.starts_with(kTrain)) return open_tokenizer(tokenizer)->vocab_size();
  const auto number = leading_number(tokenizer.substr(kTrain.size()));
  return number ? static_cast<int64_t>(number->first) : 0;
}

OtherModels of_lit(TrainConfig& config) {
  OtherModels others;
  others.image = config_at(config.lit.image_tower);
  config.model.vocab_size = num_pieces(config.lit.tokenizer);
  config.model.joint_dim = others.image->embed_dim;
  config.model.validate();
  if (config.lit.is_unlocked()) {
    others.trained_image = others.image;
    others.trained_image->num_classes = 0;  // its classifier stays behind
    const int64_t depth = others.image->depth,
                  first = std::max<int64_t>(0, config.lit.first_trained_block(depth));
    others.trained_share = static_cast<double>(depth - first) / static_cast<double>(depth);
  } else {
    (config.lit.is_live() ? others.looking : others.looked_once).push_back(*others.image);
  }
  return others;
}

}  // namespace

double OtherModels::flops() const {
  double flops = 0;
  if (trained_image) flops += forward_flops(*trained_image) * (1 + 2 * trained_share);
  for (const ViTConfig& model : looking) flops += forward_flops(model);
  return flops;
}

OtherModels other_models(TrainConfig& config) {
  if (config.task == "lit") return of_lit(config);
  OtherModels others;
  if (config.task == "distill")
    for (const std::string& teacher : config.distill.teachers)
      (config.distill.logits == "live" ? others.looking : others.looked_once)
          .push_back(config_at(teacher));
  return others;
}

}  // namespace vit22b
