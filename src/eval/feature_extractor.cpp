#include "eval/feature_extractor.h"

#include <set>

#include "core/checksum.h"
#include "core/error.h"

namespace vit22b {
namespace {

constexpr std::string_view kBlockPrefix = "block.";

/// The block that a name asks for.
std::optional<int64_t> block_of(const std::string& name) {
  if (!name.starts_with(kBlockPrefix)) return std::nullopt;
  const auto number = leading_number(name.substr(kBlockPrefix.size()));
  if (!number || !number->second.empty() || number->first < 0)
    throw UsageError("feature '", name, "': want block.N");
  return static_cast<int64_t>(number->first);
}

class ModelExtractor : public FeatureExtractor {
 public:
  ModelExtractor(const std::filesystem::path& checkpoint, const PredictorOptions& options,
                 std::vector<std::string> names, const PixelChanges& changes)
      : model_(changed(load_predictor(checkpoint, for_changed_pixels(changes, options)), changes)),
        transforms_(model_.info.pp_eval),
        names_(std::move(names)) {
    for (const std::string& name : names_) {
      if (const auto block = block_of(name))
        taps_.insert(*block);
      else if (name == "logits" && model_.info.config.num_classes == 0)
        throw UsageError("feature 'logits': ", place(), " has no classifier");
      else if (name == "pooled" && !model_.info.config.has_pool())
        throw UsageError("feature 'pooled': ", place(),
                         " pools no tokens (global_pool=none); take mean or block.N");
      else if (name == "image_embedding" && !model_.info.config.embeds_images())
        throw UsageError("feature 'image_embedding': ", place(),
                         " embeds no images beside texts; take pooled");
      else if (name != "pooled" && name != "mean" && name != "logits" && name != "image_embedding")
        throw UsageError("feature '", name,
                         "': want pooled, mean, logits, image_embedding or block.N");
    }
    fingerprint_ =
        hash_of_text(concat(model_fingerprint(model_.checkpoint), "\n", transforms_.text(), "\n",
                            options.precision, " ", options.engine, "\n", join(names_, ",")));
  }

  std::string place() const override { return model_.checkpoint.path().string(); }
  std::string fingerprint() const override { return fingerprint_; }
  const Transforms& transforms() const override { return transforms_; }

  std::map<std::string, at::Tensor> extract(const at::Tensor& images_BCHW) override {
    const VitOutputs outputs = model_.predictor->features(images_BCHW, taps_);
    std::map<std::string, at::Tensor> features;
    for (const std::string& name : names_)
      features[name] = feature(outputs, name).to(at::kCPU, at::kFloat).contiguous();
    return features;
  }

 private:
  static LoadedModel changed(LoadedModel model, const PixelChanges& changes) {
    apply_pixel_changes(changes, model.info);
    return model;
  }

  at::Tensor mean_of_patches(const at::Tensor& tokens_BTD) const {
    return tokens_BTD.slice(1, model_.info.config.num_prefix_tokens())
        .mean(1, /*keepdim=*/false, at::kFloat);
  }

  at::Tensor feature(const VitOutputs& outputs, const std::string& name) const {
    if (name == "pooled") return outputs.pooled_BD;
    if (name == "logits" || name == "image_embedding") return outputs.logits_BC;
    if (name == "mean") return mean_of_patches(outputs.tokens_BTD);
    const at::Tensor& tokens_BTD = outputs.blocks.at(*block_of(name));
    const at::Tensor summary_BD = model_.info.config.tokens.class_token
                                      ? tokens_BTD.select(1, 0).to(at::kFloat)
                                      : mean_of_patches(tokens_BTD);
    return summary_BD / summary_BD.square().mean(1, /*keepdim=*/true).sqrt().clamp_min(1e-12);
  }

  LoadedModel model_;
  Transforms transforms_;
  std::vector<std::string> names_;
  std::set<int64_t> taps_;
  std::string fingerprint_;
};

class PixelExtractor : public FeatureExtractor {
 public:
  explicit PixelExtractor(const std::string& transforms) : transforms_(transforms) {}
  std::string place() const override { return "pixels"; }
  std::string fingerprint() const override { return hash_of_text("pixels\n" + transforms_.text()); }
  const Transforms& transforms() const override { return transforms_; }
  std::map<std::string, at::Tensor> extract(const at::Tensor& images_BCHW) override {
    return {{"pooled", images_BCHW.flatten(1).to(at::kFloat)}};
  }

 private:
  Transforms transforms_;
};

}  // namespace

std::unique_ptr<FeatureExtractor> make_model_extractor(const std::filesystem::path& checkpoint,
                                                       const PredictorOptions& options,
                                                       std::vector<std::string> names,
                                                       const PixelChanges& changes) {
  return std::make_unique<ModelExtractor>(checkpoint, options, std::move(names), changes);
}

std::unique_ptr<FeatureExtractor> make_pixel_extractor(const std::string& transforms) {
  return std::make_unique<PixelExtractor>(transforms);
}

}  // namespace vit22b
