#include "core/error.h"
#include "core/range.h"
#include "data/tokenizer.h"
#include "train/config.h"
#include "train/tasks/lit.h"
#include "train/tasks/lit_parts.h"
#include "train/tasks/unlock.h"

namespace vit22b {

void LitConfig::fields(FieldVisitor& v) {
  v.field("image_tower", image_tower, "task=lit: checkpoint of the image tower");
  v.field(
      "tokenizer", tokenizer,
      "SentencePiece .model, CLIP's merges .txt[.gz], or train:N for N pieces from the captions");
  v.field("templates", templates,
          "sentences with {} for a class's name, kept in the checkpoint for zeroshot");
  v.choice("images", images, "cached|live",
           "of a locked tower: embedded once and kept, or in every step through data.pp_train");
  v.field("cache", cache, "folder of image features; the image tower's cache/ where empty");
  v.field("unlock", unlock,
          "what of the image tower trains: none, all, or a number of last blocks (with what stands "
          "above them); its images are live");
  v.field("image_lr", image_lr, "multiplies optim.lr for an unlocked image tower");
}

void LitConfig::check(const TrainConfig& c) const {
  if (image_tower.empty())
    throw UsageError("task=lit: name the image tower's checkpoint, lit.image_tower=RUN");
  if (!c.init_from.empty())
    throw UsageError("task=lit starts with a fresh text tower; no init_from");
  if (c.mesh.model > 1) throw UsageError("task=lit: use mesh.model=1");
  check_range("lit.image_lr", image_lr, Range::positive());
  trained_share(1);  // refuses another word
  if (templates.empty()) throw UsageError("lit.templates is empty; want at least [\"{}\"]");
  for (const std::string& text : templates)
    if (text.find("{}") == std::string::npos)
      throw UsageError("lit.templates: '", text, "' has no {} for the class's name");
  if (c.data.mixup > 0) throw UsageError("task=lit: mixed images have no caption; data.mixup=0");
}

std::string LitConfig::set_in_vain() const {
  return image_tower.empty() ? "" : "lit.image_tower";
}

void LitConfig::shape(ViTConfig& model) const {
  constexpr int64_t kLitContext = 16;  // Zhai et al. 2022 (LiT)
  if (model.text.vocab_size == 0) model.text.vocab_size = 1;
  if (model.text.context_length == 0) model.text.context_length = kLitContext;
  model.num_classes = 0;
  model.tokens.class_token = false;
  if (model.pool.global_pool == "token") model.pool.global_pool = "last";
}

std::vector<TaskPlace> LitConfig::places() {
  return {{"lit.image_tower", {&image_tower}, TaskPlace::Kind::kCheckpoint},
          {"lit.tokenizer", {&tokenizer}, TaskPlace::Kind::kStart},
          {"lit.cache", {&cache}, TaskPlace::Kind::kCache}};
}

double LitConfig::trained_share(int64_t depth) const {
  return Unlock(unlock, "lit.unlock").share(depth);
}

// An unlocked image tower trains from a block on, at a rate of its own.
void LitConfig::adjust_rules(const std::vector<ParameterRow>& table,
                             std::vector<ParameterRule>& rules) const {
  const Unlock unlocked(unlock, "lit.unlock");
  const int64_t depth = depth_of(table, Tower::kImage);
  for (size_t i = 0; i < table.size(); ++i) {
    const Unit& unit = table[i].unit;
    if (unit.tower != Tower::kImage) continue;
    rules[i].learning_rate_factor *= image_lr;
    if (!unlocked.trains(unit, depth)) rules[i].is_trained = false;
  }
}

OtherModels LitConfig::other_models(TrainConfig& config) const {
  OtherModels others;
  others.image = config_at(image_tower);
  config.model.text.vocab_size = num_pieces(*this);
  config.model.text.joint_dim = others.image->pooled_dim();
  config.model.validate();
  if (is_unlocked()) {
    others.trained_image = others.image;
    others.trained_image->num_classes = others.trained_image->text.joint_dim = 0;  // its head stays
    others.trained_share = trained_share(others.image->depth);
  } else {
    (is_live() ? others.looking : others.looked_once).push_back(*others.image);
  }
  return others;
}

}  // namespace vit22b
