#include "api/arrays.h"
#include "api/vit22b.h"
#include "core/error.h"
#include "data/sources/image_list.h"
#include "measure/segmentation.h"

namespace vit22b {

struct Segmenter::State {
  LoadedPixelPredictor loaded;
  Transforms transforms;
};

Segmenter::Segmenter(const std::string& checkpoint, const ModelOptions& options) {
  LoadedPixelPredictor loaded =
      load_pixel_predictor(checkpoint,
                           {.device = api::opened_device(options.device, options.threads),
                            .precision = options.precision,
                            .engine = options.engine},
                           {});
  Transforms transforms(loaded.model.info.pp_eval);
  state_ = std::make_unique<State>(State{std::move(loaded), std::move(transforms)});
}

Segmenter::~Segmenter() = default;
Segmenter::Segmenter(Segmenter&&) noexcept = default;
Segmenter& Segmenter::operator=(Segmenter&&) noexcept = default;

const std::vector<std::string>& Segmenter::label_names() const {
  return state_->loaded.info.names;
}

ClassMap Segmenter::segment(const std::string& file) const {
  const auto source = make_image_list({file});
  ClassMap map;
  segment_all(*state_->loaded.pixels, *state_->loaded.model.predictor, *source, state_->transforms,
              {.batch_size = 1, .num_workers = 1}, [&](const SegmentedPicture& picture) {
                const at::Tensor& classes = picture.predicted_HW;
                map.height = classes.size(0);
                map.width = classes.size(1);
                const auto* values = classes.const_data_ptr<int32_t>();
                map.classes.assign(values, values + classes.numel());
              });
  return map;
}

}  // namespace vit22b
