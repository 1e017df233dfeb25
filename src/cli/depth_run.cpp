#include "cli/depth_run.h"

#include <ATen/ATen.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/checkpoint_flags.h"
#include "cli/free_names.h"
#include "cli/image_input.h"
#include "cli/measured_model.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "data/encode.h"
#include "explain/depth_pictures.h"
#include "explain/pictures.h"
#include "measure/model_depth.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr double kStepM = 0.001;  // of the PNGs

struct DepthRunFlags {
  CommonFlags common;
  CheckpointFlags checkpoint;
  ImageFlags images;
  std::vector<double> range;  ///< of the colours; the head's own bounds where empty
  double focal_px = 0;        ///< of point clouds; 0 for none
};

/// What is written of each picture, and of all at the end.
class DepthFiles {
 public:
  DepthFiles(const DepthRunFlags& flags, const DepthOutput& output)
      : flags_(flags), folder_(flags.common.out), is_relative_(output.is_relative()) {
    if (folder_.empty()) throw UsageError("give --out DIR for the depth maps");
    range_ = flags.range;
    if (range_.empty() && !is_relative_) range_ = {output.min_depth, output.max_depth};
    const bool is_range =
        range_.size() == 2 && range_[0] >= 0 && range_[1] > range_[0] && std::isfinite(range_[1]);
    if (!is_range && !range_.empty())
      throw UsageError("--range: want two depths from the smaller to the larger, ",
                       is_relative_ ? "of the relative numbers" : "in metres");
    if (flags.focal_px != 0 && is_relative_)
      throw UsageError("--ply-focal: this head's depths are relative and have no place in space");
    if (!(flags.focal_px >= 0) || flags.focal_px > 1e6)
      throw UsageError("--ply-focal is ", flags.focal_px, ", want pixels, up to a million");
    unit_ = output.unit();
    ops_.make_folder(folder_);
  }

  /// pixels  uint8 [H, W, 3] of the picture, where a point cloud is wanted; else undefined
  void add(const MeasuredPicture& picture, const at::Tensor& pixels) {
    const std::string name = free_names_.name(picture.id);
    const at::Tensor& depth_HW = picture.predicted_HW;
    Json line = {{"path", picture.id},
                 {"unit", unit_},
                 {"npy", name + ".npy"},
                 {"png", name + ".png"},
                 {"colours", name + ".colours.png"}};
    write_text(ops_, folder_ / (name + ".npy"), npy_bytes(depth_HW));
    is_relative_ ? add_relative(name, depth_HW, line) : add_metres(name, depth_HW, pixels, line);
    line.update({{is_relative_ ? "lowest" : "nearest", depth_HW.min().item<float>()},
                 {"median", at::median(depth_HW).item<float>()},
                 {is_relative_ ? "highest" : "farthest", depth_HW.max().item<float>()}});
    const std::string text = line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    lines_ += text;
    if (flags_.common.is_json) print_out(text);
    ++count_;
  }

  int64_t count() const { return count_; }
  /// predictions.jsonl, after the last.
  void finish() {
    write_text(ops_, folder_ / "predictions.jsonl", lines_);
    if (num_clipped_ > 0)
      log_warn(concat(num_clipped_, " pixels are beyond ", formatted("%.3f m", UINT16_MAX * kStepM),
                      ", the farthest that a PNG of millimetres has; the .npy have them"));
    const std::string what =
        is_relative_ ? concat("of ", unit_, ": .npy as they are, .png from ",
                              range_.empty() ? "each picture's lowest (0) to its highest (65535); "
                                               "--range gives all one scale"
                                             : formatted("%.4g (0)", range_[0]) +
                                                   formatted(" to %.4g (65535)", range_[1]))
                     : concat(".npy in metres, .png in millimetres, .colours.png from ",
                              formatted("%.3g m (red)", range_[0]),
                              formatted(" to %.3g m (blue)", range_[1]));
    log_info(concat("wrote depths of ", count_, " pictures to ", folder_.string(), ": ", what));
  }

 private:
  void add_metres(const std::string& name, const at::Tensor& depth_HW, const at::Tensor& pixels,
                  Json& line) {
    const at::Tensor steps = (depth_HW / kStepM).round();
    num_clipped_ += steps.gt(UINT16_MAX).sum().item<int64_t>();
    write_text(ops_, folder_ / (name + ".png"),
               encode_wide_png(steps.clamp_max(UINT16_MAX).to(at::kInt)));
    write_text(ops_, folder_ / (name + ".colours.png"),
               encode_png(depth_picture(depth_HW, range_[0], range_[1])));
    line.update({{"png_step_m", kStepM}, {"colours_m", range_}});
    if (!pixels.defined()) return;
    write_text(ops_, folder_ / (name + ".ply"), point_cloud(depth_HW, pixels, flags_.focal_px));
    line.update({{"ply", name + ".ply"}, {"ply_focal_px", flags_.focal_px}});
  }

  void add_relative(const std::string& name, const at::Tensor& depth_HW, Json& line) {
    constexpr double kLeastRange = 1e-6;  // of a picture that has one number everywhere
    const double low = range_.empty() ? depth_HW.min().item<double>() : range_[0];
    const double high =
        std::max(range_.empty() ? depth_HW.max().item<double>() : range_[1], low + kLeastRange);
    const at::Tensor steps = ((depth_HW - low) / (high - low) * UINT16_MAX).round();
    write_text(ops_, folder_ / (name + ".png"),
               encode_wide_png(steps.clamp(0, UINT16_MAX).to(at::kInt)));
    write_text(ops_, folder_ / (name + ".colours.png"),
               encode_png(depth_picture(depth_HW, high, low)));
    line.update({{"png_from", low}, {"png_to", high}});
  }

  const DepthRunFlags& flags_;
  fs::path folder_;
  bool is_relative_;
  std::string unit_;
  std::vector<double> range_;  ///< empty: each picture's own
  FileOps ops_;
  FreeNames free_names_{{".npy", ".png", ".colours.png", ".ply"}};
  std::string lines_;
  int64_t count_ = 0, num_clipped_ = 0;
};

/// A picture's colours as it was decoded, upright or not as the transform has it.
at::Tensor pixels_of(const DataSource& source, int64_t index, const std::string& pp_eval) {
  const bool is_turned = pp_eval.starts_with("decode(orient)");
  Sample sample = source.read(index);
  Transforms(is_turned ? "decode(orient)|rgb" : "decode|rgb")(sample, 0);
  return sample.fields.at(kImageField).value;
}

void run_depth_run(const DepthRunFlags& flags) {
  const Device device = begin_command(flags.common);
  resolve_checkpoint(flags.checkpoint.path);
  const auto source = open_image_files(flags.images.images, flags.images.list);
  check_is_apart(*source, flags.common.out);
  LoadedDepthPredictor loaded =
      load_depth_predictor(flags.checkpoint.path, predictor_options(flags.common, device));
  apply_checkpoint_flags(flags.checkpoint, loaded.model);
  DepthFiles files(flags, loaded.info.output);
  EvalOptions options =
      eval_options(flags.images.loader, flags.common.is_quiet, "depth", source->size());
  options.on_bad_samples = [](const std::vector<BadSample>& bad) {
    for (const BadSample& sample : bad) log_warn(left_out_text(sample));
  };
  try {
    depth_all(*loaded.depth, *loaded.model.predictor, *source,
              Transforms(loaded.model.info.pp_eval), options, [&](const MeasuredPicture& picture) {
                files.add(picture, flags.focal_px > 0 ? pixels_of(*source, picture.index,
                                                                  loaded.model.info.pp_eval)
                                                      : at::Tensor());
              });
  } catch (const Stopped&) {
    files.finish();
    throw Stopped("stopped after ", files.count(), " of ", source->size(),
                  " pictures, whose depths are kept");
  }
  files.finish();
}

}  // namespace

void add_depth_run(CLI::App& depth) {
  auto flags = std::make_shared<DepthRunFlags>();
  CLI::App* command = depth.add_subcommand("run",
                                           "how far image files' pixels are: .npy in metres, PNGs "
                                           "in millimetres, colours; of a relative "
                                           "head its numbers, and what they are");
  add_checkpoint_flags(*command, flags->checkpoint, "run folder or checkpoint with such a head");
  add_image_flags(*command, flags->images);
  command
      ->add_option("--range", flags->range,
                   "depths in metres that the colours go from and to, such as 0.5,10; the head's "
                   "own bounds by default. Of a relative head the numbers that PNGs and colours go "
                   "from and to; each picture's own by default, which no frames can be compared by")
      ->delimiter(',');
  command->add_option("--ply-focal", flags->focal_px,
                      "also write a point cloud of each picture, NAME.ply, for a camera of this "
                      "focal length in pixels");
  add_common_flags(*command, flags->common, kDevice | kPrecision | kStore | kOut | kJson,
                   "folder for the depth maps");
  depth.require_subcommand(0, 1);
  command->callback([flags] { run_depth_run(*flags); });
}

}  // namespace vit22b
