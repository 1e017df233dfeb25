#include "api/vit22b.h"

#include <ATen/ATen.h>

#include "core/checked.h"
#include "core/error.h"
#include "data/sources/image_folder.h"
#include "data/transforms.h"
#include "eval/load_predictor.h"
#include "transfer/labelled_features.h"
#include "transfer/logistic.h"

namespace vit22b {
namespace {

constexpr int64_t kImagesAtOnce = 64;

int64_t count_of(const std::vector<int64_t>& shape) {
  std::optional<int64_t> count = 1;
  for (const int64_t size : shape)
    if (count = checked_mul(*count, size); !count) throw UsageError("an array's shape is not one");
  return *count;
}

/// The array's own values, not a copy.
at::Tensor view_of(const Array& array, int64_t dims, const char* what) {
  if (static_cast<int64_t>(array.shape.size()) != dims)
    throw UsageError(what, " have ", array.shape.size(), " dimensions, want ", dims);
  if (count_of(array.shape) != static_cast<int64_t>(array.values.size()))
    throw UsageError(what, " have ", array.values.size(), " values, their shape says ",
                     count_of(array.shape));
  return at::from_blob(const_cast<float*>(array.values.data()), array.shape, at::kFloat);
}

Array array_of(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.to(at::kCPU, at::kFloat).contiguous();
  const auto* first = plain.const_data_ptr<float>();
  return {plain.sizes().vec(), {first, first + plain.numel()}};
}

LoadedModel open(const std::string& checkpoint, const ModelOptions& options) {
  const Device device = resolve_device(options.device);  // before any other ATen call
  check_libtorch_version();
  if (options.threads > 0) set_threads(options.threads);
  return load_predictor(checkpoint, {device, options.precision, options.engine});
}

}  // namespace

struct Model::State {
  LoadedModel model;
  Transforms transforms;

  /// One output for all images, a batch at a time.
  Array run(const Array& images, at::Tensor VitOutputs::*output, const char* missing) const {
    std::vector<at::Tensor> pieces;
    for (const at::Tensor& batch : view_of(images, 4, "images").split(kImagesAtOnce)) {
      const at::Tensor piece = model.predictor->features(batch, {}).*output;
      if (!piece.defined()) throw UsageError(model.folder.string(), " has no ", missing);
      pieces.push_back(piece.to(at::kFloat).cpu());
    }
    if (pieces.empty()) throw UsageError("there are no images");
    return array_of(at::cat(pieces));
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
  std::vector<at::Tensor> images;
  for (const std::string& file : files) {
    Sample sample;
    sample.id = file;
    sample.encoded = read_image_bytes(file);
    state_->transforms(sample, 0);
    images.push_back(sample.fields.at("image").permute({2, 0, 1}));
    if (images.back().sizes() != images.front().sizes())
      throw DataError(file, ": images of one call differ in size; transform them to one");
  }
  if (images.empty()) throw UsageError("there are no images");
  return array_of(at::stack(images));
}

Array Model::features(const Array& images) const {
  return state_->run(images, &VitOutputs::pooled_BD, "features");
}

Array Model::tokens(const Array& images) const {
  return state_->run(images, &VitOutputs::tokens_BTD, "tokens");
}

Array Model::logits(const Array& images) const {
  return state_->run(images, &VitOutputs::logits_BC, "classifier");
}

Array Classifier::scores(const Array& features) const {
  const at::Tensor weights_CD = view_of(weights, 2, "weights"), bias_C = view_of(bias, 1, "biases"),
                   features_ND = view_of(features, 2, "features");
  if (features_ND.size(1) != weights_CD.size(1))
    throw UsageError("features have width ", features_ND.size(1), ", the classifier ",
                     weights_CD.size(1));
  return array_of(at::addmm(bias_C, features_ND, weights_CD.t()));
}

std::vector<int64_t> Classifier::predict(const Array& features) const {
  const Array all = scores(features);
  const at::Tensor best = view_of(all, 2, "scores").argmax(1);
  return {best.const_data_ptr<int64_t>(), best.const_data_ptr<int64_t>() + best.numel()};
}

Classifier train_classifier(const Array& features, const std::vector<int64_t>& labels, double c) {
  LabelledFeatures data{.features_ND = view_of(features, 2, "features"),
                        .labels_N = at::tensor(labels, at::kLong),
                        .place = "the classifier's data"};
  if (data.features_ND.size(0) != data.size() || data.size() == 0)
    throw UsageError("there are ", data.features_ND.size(0), " features and ", data.size(),
                     " labels");
  if (data.labels_N.min().item<int64_t>() < 0) throw UsageError("a label is below 0");
  if (!(c > 0)) throw UsageError("c is ", c, ", want a positive number");
  const LogisticFit fit =
      fit_logistic(data.features_ND, data.labels_N, count_classes(data, data), c, {});
  return {array_of(fit.head.weights_DC.t()), array_of(fit.head.bias_C)};
}

const char* library_version() {
  return program_version();
}

}  // namespace vit22b
