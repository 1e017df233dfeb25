#include "cli/depth_run.h"

#include <ATen/ATen.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/checkpoint_flags.h"
#include "cli/free_names.h"
#include "cli/image_input.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/watch.h"
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
  std::vector<double> range;  ///< of the colours, metres; the head's own bounds where empty
};

/// What is written of each picture, and of all at the end.
class DepthFiles {
 public:
  DepthFiles(const DepthRunFlags& flags, const DepthOutput& output)
      : flags_(flags), folder_(flags.common.out), range_(flags.range) {
    if (folder_.empty()) throw UsageError("give --out DIR for the depth maps");
    if (range_.empty()) range_ = {output.min_depth, output.max_depth};
    if (range_.size() != 2 || !(range_[0] >= 0 && range_[1] > range_[0]))
      throw UsageError("--range: want two depths in metres, the nearer one first");
    ops_.make_folder(folder_);
  }

  void add(const MeasuredPicture& picture) {
    const std::string name = free_names_.name(picture.id);
    const at::Tensor& depth_HW = picture.predicted_HW;
    const at::Tensor steps = (depth_HW / kStepM).round();
    num_clipped_ += steps.gt(UINT16_MAX).sum().item<int64_t>();
    write_text(ops_, folder_ / (name + ".npy"), npy_bytes(depth_HW));
    write_text(ops_, folder_ / (name + ".png"),
               encode_wide_png(steps.clamp_max(UINT16_MAX).to(at::kInt)));
    write_text(ops_, folder_ / (name + ".colours.png"),
               encode_png(depth_picture(depth_HW, range_[0], range_[1])));
    const Json line = {{"path", picture.id},
                       {"unit", "m"},
                       {"npy", name + ".npy"},
                       {"png", name + ".png"},
                       {"png_step_m", kStepM},
                       {"colours", name + ".colours.png"},
                       {"colours_m", range_},
                       {"nearest", depth_HW.min().item<float>()},
                       {"median", at::median(depth_HW).item<float>()},
                       {"farthest", depth_HW.max().item<float>()}};
    const std::string text = line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    lines_ += text;
    if (flags_.common.is_json) print_out(text);
    ++count_;
  }

  /// predictions.jsonl, after the last.
  void finish() {
    write_text(ops_, folder_ / "predictions.jsonl", lines_);
    if (num_clipped_ > 0)
      log_warn(concat(num_clipped_, " pixels are beyond ", formatted("%.3f m", UINT16_MAX * kStepM),
                      ", the farthest that a PNG of millimetres has; the .npy have them"));
    log_info(concat("wrote depths of ", count_, " pictures to ", folder_.string(),
                    ": .npy in metres, .png in millimetres, .colours.png from ", range_[0],
                    " m (red) to ", range_[1], " m (blue)"));
  }

 private:
  const DepthRunFlags& flags_;
  fs::path folder_;
  std::vector<double> range_;
  FileOps ops_;
  FreeNames free_names_;
  std::string lines_;
  int64_t count_ = 0, num_clipped_ = 0;
};

void run_depth_run(const DepthRunFlags& flags) {
  const Device device = begin_command(flags.common);
  resolve_checkpoint(flags.checkpoint.path);
  const auto source = open_image_files(flags.images.images, flags.images.list);
  LoadedDepthPredictor loaded =
      load_depth_predictor(flags.checkpoint.path, predictor_options(flags.common, device));
  apply_checkpoint_flags(flags.checkpoint, loaded.model);
  DepthFiles files(flags, loaded.info.output);
  const LoaderFlags& loader = flags.images.loader;
  const EvalOptions options{
      .batch_size = loader.batch,
      .num_workers = loader.workers,
      .max_bad_fraction = loader.max_bad_fraction,
      .max_pixels = loader.max_pixels,
      .watch = watch_with_progress("depth", source->size(), flags.common.is_quiet),
      .on_bad_samples = [](const std::vector<BadSample>& bad) {
        for (const BadSample& sample : bad) log_warn(left_out_text(sample));
      }};
  depth_all(*loaded.depth, *loaded.model.predictor, *source, Transforms(loaded.model.info.pp_eval),
            options, [&](const MeasuredPicture& picture) { files.add(picture); });
  files.finish();
}

}  // namespace

void add_depth_run(CLI::App& depth) {
  auto flags = std::make_shared<DepthRunFlags>();
  CLI::App* command = depth.add_subcommand(
      "run", "how far image files' pixels are: .npy in metres, PNGs in millimetres, colours");
  add_checkpoint_flags(*command, flags->checkpoint, "run folder or checkpoint with such a head");
  add_image_flags(*command, flags->images);
  command
      ->add_option("--range", flags->range,
                   "depths in metres that the colours go from and to, such as 0.5,10; the head's "
                   "own bounds by default")
      ->delimiter(',');
  add_common_flags(*command, flags->common, kDevice | kPrecision | kStore | kOut | kJson,
                   "folder for the depth maps");
  depth.require_subcommand(0, 1);
  command->callback([flags] { run_depth_run(*flags); });
}

}  // namespace vit22b
