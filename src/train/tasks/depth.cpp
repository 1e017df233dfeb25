#include "train/tasks/depth.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/error.h"
#include "core/log.h"
#include "data/depth_values.h"
#include "data/mask_transform.h"
#include "data/pixel_range.h"
#include "data/sources/depth_folder.h"
#include "eval/depth_predictor.h"
#include "kernels/depth_loss.h"
#include "measure/model_depth.h"
#include "train/tasks/dense_step.h"
#include "train/tasks/tasks.h"
#include "train/transform_setup.h"

namespace vit22b {
namespace {

constexpr int64_t kMapsLookedAt = 200;

/// What trains on random views: cropped, mirrored, in another light. Not scaled: what is twice as
/// large is half as far.
std::string random_views(const ViTConfig& model, const std::string& pp_eval) {
  const auto [height, width] = model.img_size;
  const std::string range = range_operation(pp_eval);
  return concat("decode|", model.in_chans == 1 ? "gray" : "rgb", "|",
                with_field(concat("resize_small(", std::min(height, width), ")|random_crop_or_pad(",
                                  height, ",", width, ")|flip_lr"),
                           kDepthField),
                "|photometric", range.empty() ? "" : "|", range);
}

/// Monocular depth: how far every pixel is, in metres, by a head over maps of patches.
class Depth : public Task {
 public:
  explicit Depth(const DepthConfig& options) : options_(options) {
    options_.output = options.info().output;  // not auto
  }

  void complete(const RunScene& scene) override {
    TrainConfig& config = scene.config;
    scene.mesh.agree([&] {
      complete_views(config, scene.start.string());
      for (std::shared_ptr<const DataSource>* source : {&scene.data.train, &scene.data.val})
        if (*source != nullptr) *source = with_depth_metres(*source, depth_step_m(options_.unit));
    });
    scene.mesh.do_once([&] { tell_depths(*scene.data.train); });
  }

  void prepare(const TrainConfig& config, const Device&) override {
    model_ = config.model;
    step_.emplace(config.model, options_.head, options_.output.num_scores());
  }

  ModelInfo model_info(const TrainConfig& config) const override {
    ModelInfo info = Task::model_info(config);
    info.label_names.clear();  // those are of a classifier of pictures
    info.depth = options_.info();
    return info;
  }

  std::optional<Batch> made_up(const TrainConfig& config, int64_t images) const override {
    Batch batch;
    batch.labels_B = at::full({images}, -1, at::kLong);
    batch.indices_B = at::arange(images, at::kLong);
    batch.fields[kImageField] = made_up_images(config.model, images);
    batch.fields[kDepthField] = at::rand({images, model_.img_size.height, model_.img_size.width}) *
                                    (options_.output.max_depth - options_.output.min_depth) +
                                options_.output.min_depth;
    return batch;
  }

  std::set<int64_t> taps() const override { return step_->maps().taps(); }
  bool is_of_pooled() const override { return false; }

  TaskLoss loss(const TowerOutputs& outputs, const Batch& batch, const Mesh& mesh) const override {
    const at::Tensor truth_BYX = bounded_truth(batch.fields.at(kDepthField));
    return step_->loss(outputs, batch, {}, mesh, [&](const DenseScores& scores) {
      const at::Tensor places_BHW = options_.info().depths(scores.main_BHWC);
      const at::Tensor depth_BYX =
          at::upsample_bilinear2d(places_BHW.unsqueeze(1), {truth_BYX.size(1), truth_BYX.size(2)},
                                  /*align_corners=*/false)
              .squeeze(1);
      at::Tensor loss = error_of(depth_BYX, truth_BYX);
      if (options_.gradient_weight > 0) {
        const auto slopes = options_.output.is_relative() ? ssi_gradient_loss : depth_gradient_loss;
        loss = loss + options_.gradient_weight * slopes(depth_BYX, truth_BYX);
      }
      torch::autograd::backward({loss}, {at::ones_like(loss)});
      return loss.detach();
    });
  }

  // abs_rel, the first, decides.
  std::vector<Metric> metrics() const override { return metrics::depth_metrics(); }

  std::map<std::string, double> validate(const TowerPredictors& towers, const DataSource& source,
                                         const Transforms& transforms,
                                         const Validation& validation) const override {
    DepthPredictor predictor(towers.main, model_, options_.info(), towers.own);
    EvalOptions how = validation.how;
    how.batch_size = std::min<int64_t>(how.batch_size, kPicturesAtATime);
    const Result result =
        measure_depth(predictor, towers.main, source, transforms, how, DepthMeasure(protocol()));
    std::map<std::string, double> values;
    for (const Metric& metric : metrics())
      values[metric.name] = result.number(metric.name + ".per_image");
    return values;
  }

 private:
  static constexpr int64_t kPicturesAtATime = 16;

  at::Tensor error_of(const at::Tensor& depth_BYX, const at::Tensor& truth_BYX) const {
    if (options_.loss == "ssi") return ssi_loss(depth_BYX, truth_BYX);
    return options_.loss == "log1p" ? log1p_mse(depth_BYX, truth_BYX)
                                    : sig_loss(depth_BYX, truth_BYX);
  }

  DepthProtocol protocol() const {
    const bool is_relative = options_.output.is_relative();
    return {.min_depth_m = options_.output.min_depth,
            .max_depth_m = options_.output.max_depth,
            .crop = options_.crop,
            .align = is_relative ? "least_squares" : "none",
            .is_inverse = is_relative};
  }

  at::Tensor bounded_truth(const at::Tensor& truth_BYX) const {
    VIT22B_CHECK(truth_BYX.dim() == 3, "depth: maps of one batch have one size");
    const at::Tensor counts = truth_BYX.ge(options_.output.min_depth)
                                  .logical_and(truth_BYX.le(options_.output.max_depth));
    return truth_BYX.masked_fill(counts.logical_not(), 0);
  }

  void complete_views(TrainConfig& config, const std::string& start) const {
    if (config.data.pp_eval.empty()) {
      TrainConfig known = config;
      complete_transforms(known, start);
      config.data.pp_eval = whole_view(config.model, known.data.pp_eval);
      take_views_of_head(config, start);
    }
    if (config.data.pp_train.empty())
      config.data.pp_train = random_views(config.model, config.data.pp_eval);
    complete_transforms(config, start);  // says where pixels differ from the checkpoint's
  }

  /// Of a checkpoint with such a head the pictures that it has been shown.
  static void take_views_of_head(TrainConfig& config, const std::string& start) {
    const std::string& place = start.empty() ? config.init_from : start;
    if (place.empty()) return;
    const ModelInfo info = read_model_info(resolve_checkpoint(place));
    if (!info.depth) return;
    config.data.pp_eval = info.pp_eval;
    config.data.any_size = config.data.any_size || info.any_size;
  }

  void tell_depths(const DataSource& train) const {
    const DepthSpread spread = spread_of_depths(train, kMapsLookedAt, watch_signals());
    log_info(concat("depths of ", spread.num_maps, " maps: ", formatted("%.3g", spread.nearest),
                    " to ", formatted("%.3g m", spread.farthest), ", half of them beyond ",
                    formatted("%.3g m", spread.median), "; measured are ",
                    formatted("%.0f %% of the pixels", 100 * spread.measured_share)));
    if (spread.num_empty > 0)
      log_warn(concat(spread.num_empty, " of ", spread.num_maps, " depth maps measure nothing"));
    if (!spread.is_plausible())
      log_warn(concat("half of the depths are beyond ", formatted("%.4g m", spread.median),
                      ", which no camera's pictures are; is depth.unit=", options_.unit,
                      " right?"));
    else if (spread.median > options_.output.max_depth)
      log_warn(concat("more than half of the depths are beyond depth.max_depth=",
                      options_.output.max_depth, " m and count for nothing"));
  }

  DepthConfig options_;
  ViTConfig model_;
  std::optional<DenseStep> step_;
};

}  // namespace

std::unique_ptr<TaskOptions> DepthConfig::copy() const {
  return std::make_unique<DepthConfig>(*this);
}

std::unique_ptr<Task> DepthConfig::make() const {
  return std::make_unique<Depth>(*this);
}

std::unique_ptr<TaskOptions> depth_options() {
  return std::make_unique<DepthConfig>();
}

}  // namespace vit22b
