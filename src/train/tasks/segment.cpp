#include "train/tasks/segment.h"

#include <torch/csrc/autograd/autograd.h>

#include "core/error.h"
#include "core/log.h"
#include "core/rng.h"
#include "data/class_names.h"
#include "data/derived_sources.h"
#include "data/mask_transform.h"
#include "data/pixel_range.h"
#include "data/sources/mask_folder.h"
#include "eval/map_features.h"
#include "kernels/pixel_scores.h"
#include "measure/segmentation.h"
#include "train/features_once.h"
#include "train/tasks/dense_step.h"
#include "train/tasks/tasks.h"
#include "train/transform_setup.h"

namespace vit22b {
namespace {

// Masks looked at for the histogram, and for the shares that balanced weights are made of.
constexpr int64_t kMasksLookedAt = 500, kMasksWeighed = 5'000;

/// The classes' names: the config's, the data's, or numbers as many as the masks' values need.
std::vector<std::string> names_of(const SegmentConfig& options, const TrainConfig& config,
                                  const DataSource& train) {
  std::vector<std::string> names =
      config.data.label_names.empty() ? train.label_names() : config.data.label_names;
  if (names.empty()) {
    int64_t count = options.num_classes;
    if (count == 0) {
      log_info(concat("no classes.txt: looking at the values of all ", train.size(), " masks"));
      count = census_of_masks(train, train.size(), watch_signals()).num_classes(options.labels);
    }
    names = numbered_names(count);
  }
  const bool is_other = options.num_classes > 0 && options.num_classes != std::ssize(names);
  if (is_other)
    throw UsageError("segment.num_classes is ", options.num_classes, ", ", config.data.root,
                     " has ", names.size(),
                     " names of classes; leave it unset, or give data.label_names");
  for (const std::string& name : names) check_class_name(name, "data.label_names");
  return names;
}

/// What trains on random views: scaled, cropped, mirrored, in another light.
std::string random_views(const ViTConfig& model, const std::string& pp_eval) {
  const auto [height, width] = model.img_size;
  const std::string range = range_operation(pp_eval);
  return concat("decode|", model.in_chans == 1 ? "gray" : "rgb", "|",
                with_mask(concat("resize_small(", std::min(height, width),
                                 ")|random_scale(0.5,2)|random_crop_or_pad(", height, ",", width,
                                 ")|flip_lr")),
                "|photometric", range.empty() ? "" : "|", range);
}

/// Weights of the classes by the inverse of their shares of the pixels, whose mean over the pixels
/// is 1; classes without pixels have 1.
at::Tensor balanced_weights(const MaskCensus& census, const MaskLabels& labels, int64_t count) {
  std::vector<double> pixels(static_cast<size_t>(count));
  double total = 0, present = 0;
  for (const auto& [value, of] : census.values)
    if (const int64_t index = labels.class_of(value); index >= 0 && index < count) {
      pixels[static_cast<size_t>(index)] += static_cast<double>(of.pixels);
      total += static_cast<double>(of.pixels);
    }
  for (const double of : pixels) present += of > 0;
  std::vector<float> weights;
  weights.reserve(pixels.size());
  for (const double of : pixels)
    weights.push_back(of > 0 ? static_cast<float>(total / (present * of)) : 1);
  return at::tensor(weights);
}

/// Semantic segmentation: the class of every pixel by a head over maps of patches.
///
/// loss = softmax cross-entropy at each pixel of the mask, of scores upsampled to it; plus
/// dice_weight times the Dice loss, plus aux_weight times the auxiliary head's
class Segment : public Task {
 public:
  explicit Segment(const SegmentConfig& options) : options_(options) {}

  void choose_data(const TrainConfig& config, TrainData& data) const override {
    if (options_.part == 1) return;
    const int64_t total = data.train->size();
    const auto count =
        std::max<int64_t>(1, std::llround(options_.part * static_cast<double>(total)));
    const RandomPermutation order(static_cast<uint64_t>(total), static_cast<uint64_t>(config.seed),
                                  "few pictures");
    std::vector<int64_t> chosen;
    chosen.reserve(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i)
      chosen.push_back(static_cast<int64_t>(order(static_cast<uint64_t>(i))));
    data.train = make_subset(data.train, std::move(chosen));
  }

  void complete(const RunScene& scene) override {
    TrainConfig& config = scene.config;
    scene.mesh.agree([&] {
      config.data.label_names = names_of(options_, config, *scene.data.train);
      complete_views(config, scene.start.string());
      for (std::shared_ptr<const DataSource>* source : {&scene.data.train, &scene.data.val})
        if (*source != nullptr)
          *source =
              with_mask_classes(*source, options_.labels, std::ssize(config.data.label_names));
      check_views(config, *scene.data.train);
    });
    scene.mesh.do_once([&] { tell_masks(config); });
  }

  void prepare(const TrainConfig& config, const Device&) override {
    info_ = options_.info(config);
    model_ = config.model;
    step_.emplace(config.model, options_.head, info_.num_classes());
    if (options_.class_weights == "balanced")
      class_weights_ =
          balanced_weights(census_of(config, kMasksWeighed), options_.labels, info_.num_classes());
  }

  void look_once(const TrainConfig& config, const Device& device, const Mesh& mesh,
                 TrainData& data) const override {
    if (options_.features != "cached") return;
    const auto extractor = make_map_extractor(
        config.init_from,
        {device, config.precision, config.engine, true, nullptr, config.data.any_size},
        options_.head, with_mask(config.data.pp_eval));
    const MapShape shape{step_->maps().count(), model_.grid_height(), model_.grid_width(),
                         step_->maps().width()};
    CacheOptions places = cache_places(config.init_from, options_.cache);
    places.shards.samples_per_shard = samples_per_shard(shape);
    data.train = make_mapped_source(
        data.train, features_once(config, *extractor, places, *data.train, mesh), shape);
  }

  ModelInfo model_info(const TrainConfig& config) const override {
    ModelInfo info = Task::model_info(config);
    info.label_names.clear();  // those are of a classifier of pictures
    info.segmentation = info_;
    return info;
  }

  std::optional<Batch> made_up(const TrainConfig& config, int64_t images) const override {
    Batch batch;
    batch.labels_B = at::full({images}, -1, at::kLong);
    batch.indices_B = at::arange(images, at::kLong);
    if (runs_main())
      batch.fields[kImageField] = made_up_images(config.model, images);
    else
      for (int64_t i = 0; i < step_->maps().count(); ++i)
        batch.fields[map_field(i)] =
            at::randn({images, model_.grid_height(), model_.grid_width(), step_->maps().width()},
                      at::kBFloat16);
    batch.fields[kMaskField] = at::randint(
        info_.num_classes(), {images, model_.img_size.height, model_.img_size.width}, at::kInt);
    return batch;
  }

  std::set<int64_t> taps() const override { return step_->maps().taps(); }
  bool is_of_pooled() const override { return false; }
  bool runs_main() const override { return options_.features != "cached"; }

  TaskLoss loss(const TowerOutputs& outputs, const Batch& batch, const Mesh& mesh) const override {
    return step_->loss(
        outputs, batch, runs_main() ? std::vector<at::Tensor>() : cached_maps(batch), mesh,
        [&](const DenseScores& scores) { return send_back(scores, batch.fields.at(kMaskField)); });
  }

  std::vector<Metric> metrics() const override {
    return {{"miou", "share", Better::kLarger},
            {"pixel_accuracy", "share", Better::kLarger},
            {"mean_accuracy", "share", Better::kLarger},
            {"mean_dice", "share", Better::kLarger},
            {"boundary_iou", "share", Better::kLarger}};
  }

  std::map<std::string, double> validate(const TowerPredictors& towers, const DataSource& source,
                                         const Transforms& transforms,
                                         const Validation& validation) const override {
    PixelPredictor segmenter(towers.main, model_, info_.head, info_.num_classes(), towers.own,
                             {options_.window, options_.stride, {1}, false});
    EvalOptions how = validation.how;
    how.batch_size = std::min<int64_t>(how.batch_size, kPicturesAtATime);
    const Result result = measure_segmentation(segmenter, towers.main, source, transforms, how,
                                               SegmentationMeasure(info_.names));
    std::map<std::string, double> values;
    for (const Metric& metric : metrics()) values[metric.name] = result.number(metric.name);
    return values;
  }

 private:
  static constexpr int64_t kPicturesAtATime = 16;

  // Shards of some 64 MiB: one is held while it is made.
  int64_t samples_per_shard(const MapShape& shape) const {
    constexpr int64_t kShardBytes = int64_t{64} << 20;
    const int64_t bytes = shape.num_maps * shape.height * shape.width * shape.channels * 2;
    return std::clamp<int64_t>(kShardBytes / bytes, 1, 4096);
  }

  void complete_views(TrainConfig& config, const std::string& start) const {
    if (config.data.pp_eval.empty()) {
      TrainConfig known = config;
      complete_transforms(known, start);
      config.data.pp_eval = whole_view(config.model, known.data.pp_eval);
    }
    if (options_.features == "cached") {
      const auto fixed = fixed_mask_transform(config.data.pp_eval);
      if (!fixed || config.data.any_size)
        throw UsageError("segment.features=cached wants views of one size, and data.pp_eval=",
                         config.data.pp_eval,
                         config.data.any_size ? " with data.any_size=true" : "",
                         " does not give them; use segment.features=live");
      if (!config.data.pp_train.empty() && config.data.pp_train != *fixed)
        throw UsageError(
            "segment.features=cached shows pictures as data.pp_eval does, always; leave "
            "data.pp_train unset, or use segment.features=live");
      config.data.pp_train = *fixed;
      return;
    }
    if (config.data.pp_train.empty())
      config.data.pp_train = random_views(config.model, config.data.pp_eval);
    complete_transforms(config, start);  // says where pixels differ from the checkpoint's
  }

  /// Checks that masks go with their pictures' views.
  void check_views(const TrainConfig& config, const DataSource& source) const {
    if (options_.features == "cached") return;
    look_at_first(source, Transforms(config.data.pp_train), [&](const Sample& sample) {
      const Field &image = sample.fields.at(kImageField), &mask = sample.fields.at(kMaskField);
      const Geometry &a = image.geometry, &b = mask.geometry;
      const bool is_equal = a.scale_y == b.scale_y && a.offset_y == b.offset_y &&
                            a.scale_x == b.scale_x && a.offset_x == b.offset_x;
      if (image.is_decoded() && !is_equal)
        throw UsageError("data.pp_train=", config.data.pp_train,
                         " moves pictures and not their masks; write keys=\"image,mask\" into each "
                         "operation that resizes, crops or flips");
    });
  }

  MaskCensus census_of(const TrainConfig& config, int64_t most) const {
    return census_of_masks(*open_source(source_text(config.data), config.data.train_split,
                                        source_options(config.data)),
                           most, watch_signals());
  }

  void tell_masks(const TrainConfig& config) const {
    const std::string text =
        census_text(census_of(config, kMasksLookedAt), options_.labels, config.data.label_names);
    for (const std::string& line : split(text, '\n'))
      if (!line.empty()) log_info(line);
  }

  std::vector<at::Tensor> cached_maps(const Batch& batch) const {
    std::vector<at::Tensor> maps;
    for (int64_t i = 0; i < step_->maps().count(); ++i)
      maps.push_back(batch.fields.at(map_field(i)).to(at::kFloat));
    return maps;
  }

  /// The loss, with its gradients in the leaves of what the scores were made of.
  at::Tensor send_back(const DenseScores& scores, const at::Tensor& masks) const {
    const at::Tensor labels = masks.to(at::kInt);
    VIT22B_CHECK(labels.dim() == 3, "segment: masks of one batch have one size");
    const at::Tensor weights =
        class_weights_.defined() ? class_weights_.to(scores.main_BHWC.device()) : class_weights_;
    const auto loss_of = [&](const at::Tensor& scores_BHWC) {
      const at::Tensor plain = scores_BHWC.detach().contiguous();
      PixelLoss loss = upsampled_cross_entropy(plain, labels, weights);
      if (options_.dice_weight == 0) return loss;
      const PixelLoss dice = upsampled_dice(plain, labels);
      return PixelLoss{loss.loss + options_.dice_weight * dice.loss,
                       loss.gradient_BHWC + options_.dice_weight * dice.gradient_BHWC};
    };
    const PixelLoss main = loss_of(scores.main_BHWC);
    at::Tensor all = main.loss;
    std::vector<at::Tensor> roots = {scores.main_BHWC}, gradients = {main.gradient_BHWC};
    if (scores.aux_BHWC.defined()) {
      const PixelLoss aux = loss_of(scores.aux_BHWC);
      all = all + options_.head.aux_weight * aux.loss;
      roots.push_back(scores.aux_BHWC);
      gradients.push_back(options_.head.aux_weight * aux.gradient_BHWC);
    }
    torch::autograd::backward(roots, gradients);
    return all;
  }

  SegmentConfig options_;
  SegmentationInfo info_;
  ViTConfig model_;
  std::optional<DenseStep> step_;
  at::Tensor class_weights_;
};

}  // namespace

std::unique_ptr<TaskOptions> SegmentConfig::copy() const {
  return std::make_unique<SegmentConfig>(*this);
}

std::unique_ptr<Task> SegmentConfig::make() const {
  return std::make_unique<Segment>(*this);
}

std::unique_ptr<TaskOptions> segment_options() {
  return std::make_unique<SegmentConfig>();
}

}  // namespace vit22b
