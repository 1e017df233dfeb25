#include "api/arrays.h"
#include "api/vit22b.h"
#include "data/sources/image_list.h"
#include "measure/model_depth.h"

namespace vit22b {

struct DepthEstimator::State {
  LoadedDepthPredictor loaded;
  Transforms transforms;
  std::string unit;
};

DepthEstimator::DepthEstimator(const std::string& checkpoint, const ModelOptions& options) {
  LoadedDepthPredictor loaded = load_depth_predictor(
      checkpoint, {.device = api::opened_device(options.device, options.threads),
                   .precision = options.precision,
                   .engine = options.engine});
  Transforms transforms(loaded.model.info.pp_eval);
  const std::string unit = loaded.info.output.unit();
  state_ = std::make_unique<State>(State{std::move(loaded), std::move(transforms), unit});
}

DepthEstimator::~DepthEstimator() = default;
DepthEstimator::DepthEstimator(DepthEstimator&&) noexcept = default;
DepthEstimator& DepthEstimator::operator=(DepthEstimator&&) noexcept = default;

const std::string& DepthEstimator::unit() const {
  return state_->unit;
}

DepthMap DepthEstimator::depth(const std::string& file) const {
  const auto source = make_image_list({file});
  DepthMap map;
  depth_all(*state_->loaded.depth, *state_->loaded.model.predictor, *source, state_->transforms,
            {.batch_size = 1, .num_workers = 1}, [&](const MeasuredPicture& picture) {
              const at::Tensor depths = picture.predicted_HW.contiguous();
              map.height = depths.size(0);
              map.width = depths.size(1);
              const auto* values = depths.const_data_ptr<float>();
              map.depths.assign(values, values + depths.numel());
            });
  return map;
}

}  // namespace vit22b
