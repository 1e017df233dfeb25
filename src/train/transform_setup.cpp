#include "train/transform_setup.h"

#include "checkpoint/model_info.h"
#include "core/error.h"
#include "core/log.h"
#include "data/pixel_range.h"
#include "data/preprocessing.h"
#include "model/embedding.h"

namespace vit22b {
namespace {

std::string range_text(const std::string& transform) {
  const std::string operation = range_operation(transform);
  return operation.empty() ? "no range" : operation;
}

}  // namespace

void warn_of_other_range(const DataConfig& data, const std::string& checkpoint,
                         const std::string& checkpoint_pp) {
  const auto known = pixel_range(checkpoint_pp);
  for (const auto& [name, text] :
       {std::pair("data.pp_train", data.pp_train), std::pair("data.pp_eval", data.pp_eval)}) {
    const auto written = pixel_range(text);
    if (known.has_value() != written.has_value() || (known && !known->is_near(*written)))
      log_warn(concat(name, " gives pixels by ", range_text(text), ", the checkpoint ", checkpoint,
                      " knows them by ", range_text(checkpoint_pp), "; leave ", name,
                      " unset to have its own"));
  }
}

std::string training_transform(const ViTConfig& model, const std::string& pp_eval,
                               const std::string& areas) {
  const std::string range = range_operation(pp_eval);
  const auto [height, width] = model.img_size;
  const std::string crop = height == width
                               ? concat(height, areas)
                               : concat(height, ",", width, areas.empty() ? ",5,100" : areas);
  return concat("decode|", model.in_chans == 1 ? "gray" : "rgb", "|inception_crop(", crop,
                ")|flip_lr", range.empty() ? "" : "|", range);
}

namespace {

/// The evaluation transform of a checkpoint for a model that starts from it: its crop, range and
/// interpolation at the model's size.
std::string transform_for(const ViTConfig& model, const ModelInfo& info,
                          const std::string& checkpoint) {
  const auto [height, width] = model.img_size;
  std::optional<Preprocessing> own = parse_preprocessing(info.pp_eval);
  const bool is_same_size =
      (info.config.img_size.height == height && info.config.img_size.width == width) ||
      (own && own->height() == height && own->width() == width);
  if (is_same_size && info.config.in_chans == model.in_chans) return info.pp_eval;
  const bool has_one_scale = own && own->mean.size() == 1;
  if (!own || !own->crop_pct() || (info.config.in_chans != model.in_chans && !has_one_scale))
    throw UsageError("the transform of ", checkpoint, ", ", info.pp_eval,
                     ", cannot be had for images of ", height, " x ", width, " pixels and ",
                     model.in_chans, " channels; write data.pp_eval");
  if (!is_same_size) own->set_size(height, width);
  if (own->channels != 0) own->channels = model.in_chans == 1 ? 1 : 3;
  return own->text();
}

}  // namespace

void complete_transforms(TrainConfig& config, const std::string& start) {
  DataConfig& data = config.data;
  const std::string& place = start.empty() ? config.init_from : start;
  std::optional<ModelInfo> source;
  if (!config.init_from.empty()) source = read_model_info(resolve_checkpoint(place));
  if (data.pp_eval.empty())
    data.pp_eval =
        source ? transform_for(config.model, *source, place) : default_pp_eval(config.model);
  if (data.pp_train.empty()) data.pp_train = training_transform(config.model, data.pp_eval);
  if (source) warn_of_other_range(data, place, source->pp_eval);
}

void look_at_first(const DataSource& source, const Transforms& transforms,
                   const std::function<void(const Sample& sample)>& look) {
  constexpr int64_t kMostLooks = 8;  // images of a folder differ in size
  for (int64_t i = 0; i < std::min(kMostLooks, source.size()); ++i) {
    Sample sample;
    try {
      sample = source.read(i);
      transforms(sample, static_cast<uint64_t>(i));
    } catch (const DataError&) {
      continue;  // counted when its turn comes
    }
    look(sample);
  }
}

void check_transform(const ViTConfig& model, const DataSource& source, const Transforms& transforms,
                     bool any_size) {
  look_at_first(source, transforms, [&](const Sample& sample) {
    const auto image = sample.fields.find(kImageField);
    if (image == sample.fields.end() || !image->second.is_decoded()) return;
    const at::Tensor picture = image->second.value.permute({2, 0, 1}).unsqueeze(0);
    check_pixels(model, picture);
    if (!any_size) check_image_size(model, picture);
  });
}

}  // namespace vit22b
