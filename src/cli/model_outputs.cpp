#include "cli/model_outputs.h"

#include "core/checksum.h"
#include "core/error.h"

namespace vit22b {

namespace {

bool is_wanted(const OutputNames& names, const std::string& name) {
  return names.only.empty() ||
         std::find(names.only.begin(), names.only.end(), name) != names.only.end();
}

// What the head gives is called.
std::string head_name(const ViTConfig& c) {
  return c.embeds_images() ? "image_embedding" : "logits";
}

}  // namespace

int64_t output_bytes(const ViTConfig& c, const OutputNames& names) {
  int64_t values = 0;
  const int64_t of_tokens = c.num_tokens() * c.embed_dim;
  if (is_wanted(names, "tokens")) values += of_tokens;
  if (is_wanted(names, "pooled") && c.has_pool()) values += c.pooled_dim();
  if (is_wanted(names, head_name(c)) && c.has_head()) values += c.head_outputs();
  values += static_cast<int64_t>(names.layers.size()) * of_tokens;
  return values * static_cast<int64_t>(sizeof(float));
}

ModelOutputs::ModelOutputs(LoadedModel& model, std::string place, const std::string& identity,
                           const OutputNames& names)
    : model_(model),
      names_(names),
      place_(std::move(place)),
      transforms_(model.info.pp_eval),
      taps_(names.layers.begin(), names.layers.end()) {
  for (const std::string& name : names.only)
    if (name != "tokens" && name != "pooled" && name != "logits" && name != "image_embedding")
      throw UsageError("--only ", name, ": want tokens, pooled, logits or image_embedding");
  const ViTConfig& config = model.info.config;
  if (!config.embeds_images() &&
      std::find(names.only.begin(), names.only.end(), "image_embedding") != names.only.end())
    throw UsageError("--only image_embedding: ", place_,
                     " embeds no images beside texts; take pooled");
  std::string kept = join(names.only, ",");
  for (const int64_t tap : taps_) kept += concat(" block.", tap);
  fingerprint_ = hash_of_text(
      concat(identity, "\n", transforms_.text(), "\n", kept, join(logit_names(), "\n")));
}

std::vector<std::string> ModelOutputs::logit_names() const {
  const bool has_logits = is_wanted(names_, "logits") && model_.info.config.num_classes > 0;
  return has_logits ? model_.info.label_names : std::vector<std::string>{};
}

std::map<std::string, at::Tensor> ModelOutputs::extract(const at::Tensor& images_BCHW) {
  const VitOutputs out = model_.predictor->features(images_BCHW, taps_);
  std::map<std::string, at::Tensor> named;
  const auto keep = [&](const std::string& name, const at::Tensor& tensor) {
    if (tensor.defined()) named[name] = tensor.to(at::kFloat).cpu().contiguous();
  };
  if (is_wanted(names_, "tokens")) keep("tokens", out.tokens_BTD);
  if (is_wanted(names_, "pooled")) keep("pooled", out.pooled_BD);
  const std::string head = head_name(model_.info.config);
  if (is_wanted(names_, head)) keep(head, out.logits_BC);
  for (const auto& [block, output] : out.blocks) keep(concat("block.", block), output);
  return named;
}

}  // namespace vit22b
