#include "cli/model_outputs.h"

#include "core/checksum.h"
#include "core/error.h"

namespace vit22b {

ModelOutputs::ModelOutputs(LoadedModel& model, std::string place, const std::string& identity,
                           const OutputNames& names)
    : model_(model),
      place_(std::move(place)),
      transforms_(model.info.pp_eval),
      taps_(names.layers.begin(), names.layers.end()),
      only_(names.only.begin(), names.only.end()) {
  for (const std::string& name : only_)
    if (name != "tokens" && name != "pooled" && name != "logits")
      throw UsageError("--only ", name, ": want tokens, pooled or logits");
  std::string kept = join(names.only, ",");
  for (const int64_t tap : taps_) kept += concat(" block.", tap);
  fingerprint_ = hash_of_text(concat(identity, "\n", transforms_.text(), "\n", kept));
}

std::map<std::string, at::Tensor> ModelOutputs::extract(const at::Tensor& images_BCHW) {
  const VitOutputs out = model_.predictor->features(images_BCHW, taps_);
  std::map<std::string, at::Tensor> named;
  const auto keep = [&](const std::string& name, const at::Tensor& tensor) {
    if (tensor.defined()) named[name] = tensor.to(at::kFloat).cpu().contiguous();
  };
  if (is_wanted("tokens")) keep("tokens", out.tokens_BTD);
  if (is_wanted("pooled")) keep("pooled", out.pooled_BD);
  if (is_wanted("logits")) keep("logits", out.logits_BC);
  for (const auto& [block, output] : out.blocks) keep(concat("block.", block), output);
  return named;
}

int64_t ModelOutputs::bytes_of_image() const {
  const ViTConfig& c = model_.info.config;
  int64_t values = 0;
  const int64_t of_tokens = c.num_tokens() * c.embed_dim;
  if (is_wanted("tokens")) values += of_tokens;
  if (is_wanted("pooled")) values += c.embed_dim;
  if (is_wanted("logits") && c.has_head()) values += c.num_classes;
  values += static_cast<int64_t>(taps_.size()) * of_tokens;
  return values * static_cast<int64_t>(sizeof(float));
}

}  // namespace vit22b
