#include "measure/zeroshot_predictor.h"

#include <ATen/ATen.h>

#include "core/error.h"
#include "kernels/norm.h"
#include "measure/zeroshot.h"

namespace vit22b {
namespace {

class ZeroshotPredictor : public Predictor {
 public:
  ZeroshotPredictor(std::unique_ptr<Predictor> images, bool is_projected, JointTexts classes)
      : images_(std::move(images)), is_projected_(is_projected), classes_(std::move(classes)) {}

  VitOutputs features(const at::Tensor& images_BCHW, const std::set<int64_t>& taps) override {
    VitOutputs outputs = images_->features(images_BCHW, taps);
    const at::Tensor embedded =
        (is_projected_ ? outputs.logits_BC : outputs.pooled_BD).cpu().to(at::kFloat);
    outputs.logits_BC =
        at::mm(unit_length(embedded), classes_.unit_NE.t()) * classes_.scale + classes_.bias;
    return outputs;
  }
  at::Tensor logits(const at::Tensor& images_BCHW) override {
    return features(images_BCHW, {}).logits_BC;
  }
  void attend() override { images_->attend(); }
  at::Tensor input_gradient(const at::Tensor&, const at::Tensor&) override {
    throw UsageError("classes that are told by name give no gradients of images");
  }
  at::Tensor attention(const at::Tensor& images_BCHW, int64_t block) override {
    return images_->attention(images_BCHW, block);
  }
  at::Tensor pool_attention(const at::Tensor& images_BCHW) override {
    return images_->pool_attention(images_BCHW);
  }
  std::string transfers_text() const override { return images_->transfers_text(); }

 private:
  std::unique_ptr<Predictor> images_;
  bool is_projected_;
  JointTexts classes_;
};

}  // namespace

void classify_by_names(LoadedModel& model, const TextTower& tower,
                       const std::vector<std::string>& names,
                       const std::vector<std::string>& templates, const std::string& place) {
  if (names.size() < 2) throw DataError("of one class there is nothing to tell; name more");
  JointTexts classes = tower.embed_words(tower.words({names.front()}));  // its scale and bias
  classes.unit_NE = class_embeddings(tower, names, templates, place);
  model.predictor = std::make_unique<ZeroshotPredictor>(
      std::move(model.predictor), model.info.config.embeds_images(), std::move(classes));
  model.info.config.num_classes = std::ssize(names);
  model.info.label_names = names;
  model.wnids.clear();
}

}  // namespace vit22b
