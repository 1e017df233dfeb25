#include "api/vit22b.h"

#include <ATen/ATen.h>

#include "api/arrays.h"
#include "core/error.h"
#include "core/range.h"
#include "data/transforms.h"
#include "eval/finite.h"
#include "eval/labelled_features.h"
#include "eval/load_predictor.h"
#include "transfer/logistic.h"

namespace vit22b {
namespace {

constexpr int64_t kImagesAtOnce = 64;

LoadedModel open(const std::string& checkpoint, const ModelOptions& options) {
  return load_predictor(checkpoint, {.device = api::opened_device(options.device, options.threads),
                                     .precision = options.precision,
                                     .engine = options.engine,
                                     .any_size = true});
}

}  // namespace

struct Model::State {
  LoadedModel model;
  Transforms transforms;

  /// One output for all images, a batch at a time; of no images it has no rows.
  Array run(const Array& images, at::Tensor VitOutputs::*output, const char* name) const {
    std::vector<at::Tensor> pieces;
    int64_t num_done = 0;
    for (const at::Tensor& batch : api::view_of(images, 4, "images").split(kImagesAtOnce)) {
      const at::Tensor piece = model.predictor->features(batch, {}).*output;
      std::vector<std::string> ids;
      for (int64_t i = 0; i < batch.size(0); ++i) ids.push_back(concat("image ", num_done + i));
      check_finite(piece, name, ids);
      pieces.push_back(piece.to(at::kFloat).cpu());
      num_done += batch.size(0);
    }
    return api::array_of(at::cat(pieces));
  }
};

Model::Model(const std::string& checkpoint, const ModelOptions& options) {
  LoadedModel model = open(checkpoint, options);
  Transforms transforms(model.info.pp_eval);
  state_ = std::make_unique<State>(State{std::move(model), std::move(transforms)});
}

Model::~Model() = default;
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;

std::vector<int64_t> Model::image_shape() const {
  const ViTConfig& config = state_->model.info.config;
  return {config.in_chans, config.img_size.height, config.img_size.width};
}

int64_t Model::width() const {
  return state_->model.info.config.embed_dim;
}

const std::vector<std::string>& Model::label_names() const {
  return state_->model.info.label_names;
}

const std::string& Model::transforms() const {
  return state_->transforms.text();
}

Array Model::preprocess(const std::vector<std::string>& files) const {
  return api::preprocess(files, state_->transforms);
}

Array Model::features(const Array& images) const {
  return state_->run(images, &VitOutputs::pooled_BD, "features");
}

Array Model::tokens(const Array& images) const {
  return state_->run(images, &VitOutputs::tokens_BTD, "tokens");
}

Array Model::logits(const Array& images) const {
  if (state_->model.info.config.num_classes == 0)
    throw UsageError(state_->model.checkpoint.path().string(), " has no classifier");
  return state_->run(images, &VitOutputs::logits_BC, "logits");
}

Array Classifier::scores(const Array& features) const {
  const at::Tensor weights_CD = api::view_of(weights, 2, "weights"),
                   bias_C = api::view_of(bias, 1, "biases"),
                   features_ND = api::view_of(features, 2, "features");
  if (features_ND.size(1) != weights_CD.size(1))
    throw UsageError("features have width ", features_ND.size(1), ", the classifier ",
                     weights_CD.size(1));
  return api::array_of(at::addmm(bias_C, features_ND, weights_CD.t()));
}

std::vector<int64_t> Classifier::predict(const Array& features) const {
  const Array all = scores(features);
  const at::Tensor best = api::view_of(all, 2, "scores").argmax(1);
  return {best.const_data_ptr<int64_t>(), best.const_data_ptr<int64_t>() + best.numel()};
}

Classifier train_classifier(const Array& features, const std::vector<int64_t>& labels, double c) {
  LabelledFeatures data{.features_ND = api::view_of(features, 2, "features"),
                        .labels_N = at::tensor(labels, at::kLong),
                        .place = "the classifier's data"};
  if (data.features_ND.size(0) != data.size() || data.size() == 0)
    throw UsageError("there are ", data.features_ND.size(0), " features and ", data.size(),
                     " labels");
  if (data.labels_N.min().item<int64_t>() < 0) throw UsageError("a label is below 0");
  if (!data.features_ND.isfinite().all().item<bool>())
    throw UsageError("features have values that are not finite");
  check_range("c", c, Range::positive());
  const LogisticFit fit =
      fit_logistic(data.features_ND, data.labels_N, count_classes(data, data), c, {});
  return {api::array_of(fit.head.weights_DC.t()), api::array_of(fit.head.bias_C)};
}

const char* library_version() {
  return program_version();
}

}  // namespace vit22b
