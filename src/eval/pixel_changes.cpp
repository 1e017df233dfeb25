#include "eval/pixel_changes.h"

#include "core/error.h"
#include "data/preprocessing.h"

namespace vit22b {
namespace {

// Beside a whole transform a size says only that the model is meant to see it.
void check_whole(const PixelChanges& changes) {
  if (changes.crop_pct || !changes.interpolation.empty())
    throw UsageError(
        "--pp is the whole transform: write the crop and the interpolation in it, and leave "
        "--crop-pct and --interpolation away");
  const std::optional<Preprocessing> plain = parse_preprocessing(changes.pp);
  if (!changes.size || !plain || plain->height() == 0) return;
  if (plain->height() != changes.size->height || plain->width() != changes.size->width)
    throw UsageError("--pp makes pictures of ", plain->height(), "x", plain->width(),
                     ", --img-size says ", changes.size->height, "x", changes.size->width);
}

void check_size(const ImageSize& size, int64_t patch_size) {
  if (size.height % patch_size == 0 && size.width % patch_size == 0) return;
  throw UsageError("--img-size ", size.height, "x", size.width,
                   ": want multiples of the model's patch size, ", patch_size);
}

std::string changed_transform(const std::string& pp_eval, const PixelChanges& changes) {
  if (!changes.pp.empty()) {
    check_whole(changes);
    return changes.pp;
  }
  std::optional<Preprocessing> plain = parse_preprocessing(pp_eval);
  if (!plain)
    throw UsageError("the checkpoint's transform is '", pp_eval,
                     "', which --img-size, --crop-pct and --interpolation cannot change; give the "
                     "whole with --pp");
  // In timm's order: a crop is of the new size.
  if (changes.size) plain->set_size(changes.size->height, changes.size->width);
  if (changes.crop_pct) plain->set_crop_pct(*changes.crop_pct);
  if (!changes.interpolation.empty()) {
    if (plain->resize == Preprocessing::Resize::kNone)
      throw UsageError("--interpolation ", changes.interpolation, ": the transform '", pp_eval,
                       "' resizes nothing; give the whole with --pp");
    plain->interpolation = changes.interpolation;
  }
  return plain->text();
}

}  // namespace

void apply_pixel_changes(const PixelChanges& changes, ModelInfo& info) {
  if (!changes.is_any()) return;
  if (changes.size) {
    check_size(*changes.size, info.config.patch_size);
    info.config.img_size = *changes.size;
  }
  info.pp_eval = changed_transform(info.pp_eval, changes);
}

PredictorOptions for_changed_pixels(const PixelChanges& changes, PredictorOptions options) {
  options.any_size |= changes.size.has_value();
  return options;
}

}  // namespace vit22b
