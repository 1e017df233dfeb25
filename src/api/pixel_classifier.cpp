#include "api/arrays.h"
#include "api/vit22b.h"
#include "core/error.h"
#include "data/sources/image_list.h"
#include "measure/segmentation.h"

namespace vit22b {

struct PixelClassifier::State {
  LoadedSegmenter loaded;
  Transforms transforms;
};

PixelClassifier::PixelClassifier(const std::string& checkpoint, const ModelOptions& options) {
  LoadedSegmenter loaded =
      load_segmenter(checkpoint,
                     {.device = api::opened_device(options.device, options.threads),
                      .precision = options.precision,
                      .engine = options.engine},
                     {});
  Transforms transforms(loaded.model.info.pp_eval);
  state_ = std::make_unique<State>(State{std::move(loaded), std::move(transforms)});
}

PixelClassifier::~PixelClassifier() = default;
PixelClassifier::PixelClassifier(PixelClassifier&&) noexcept = default;
PixelClassifier& PixelClassifier::operator=(PixelClassifier&&) noexcept = default;

const std::vector<std::string>& PixelClassifier::label_names() const {
  return state_->loaded.info.names;
}

ClassMap PixelClassifier::segment(const std::string& file) const {
  const auto source = make_image_list({file});
  ClassMap map;
  segment_all(*state_->loaded.segmenter, *state_->loaded.model.predictor, *source,
              state_->transforms, {.batch_size = 1, .num_workers = 1},
              [&](const SegmentedPicture& picture) {
                const at::Tensor& classes = picture.predicted_HW;
                map.height = classes.size(0);
                map.width = classes.size(1);
                const auto* values = classes.const_data_ptr<int32_t>();
                map.classes.assign(values, values + classes.numel());
              });
  return map;
}

}  // namespace vit22b
