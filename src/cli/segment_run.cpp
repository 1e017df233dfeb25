#include "cli/segment_run.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "checkpoint/container/safetensors_writer.h"
#include "cli/checkpoint_flags.h"
#include "cli/free_names.h"
#include "cli/image_input.h"
#include "cli/measured_model.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "data/decode.h"
#include "data/encode.h"
#include "explain/class_pictures.h"
#include "measure/segmentation.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct SegmentRunFlags {
  CommonFlags common;
  CheckpointFlags checkpoint;
  ImageFlags images;
  SegmentOptions how;
  bool has_scores = false;
};

/// What is written of each picture, and of all at the end.
class SegmentedOutput {
 public:
  SegmentedOutput(const SegmentRunFlags& flags, std::vector<std::string> names)
      : flags_(flags), folder_(flags.common.out), names_(std::move(names)), pixels_(names_.size()) {
    if (folder_.empty()) throw UsageError("give --out DIR for the pictures");
    ops_.make_folder(folder_);
  }

  void add(const SegmentedPicture& picture, const DataSource& source) {
    const std::string name = free_names_.name(picture.id);
    const at::Tensor& classes_HW = picture.predicted_HW;
    write_text(ops_, folder_ / (name + ".png"), encode_values_png(classes_HW, class_colour));
    const Sample sample = source.read(picture.index);
    const at::Tensor original = decode_image(sample.fields.at(kImageField).encoded, picture.id,
                                             flags_.images.loader.max_pixels);
    const std::string overlay = name + ".overlay.png";
    write_text(ops_, folder_ / overlay,
               encode_png(class_overlay(original, classes_HW, plain_class(names_))));
    if (flags_.has_scores)
      write_safetensors(ops_, folder_ / (name + ".safetensors"),
                        {{"scores", picture.view.scores_HWC.permute({2, 0, 1}).contiguous()}}, {});
    tell(picture, name);
    pictures_.push_back({overlay, picture.id});
  }

  /// predictions.jsonl and the page, after the last.
  void finish() {
    write_text(ops_, folder_ / "predictions.jsonl", lines_);
    const auto all = static_cast<double>(std::max<int64_t>(1, num_pixels_));
    std::vector<double> shares;
    shares.reserve(pixels_.size());
    for (const int64_t count : pixels_) shares.push_back(static_cast<double>(count) / all);
    write_text(ops_, folder_ / "index.html",
               class_sheet("Classes of every pixel", pictures_, names_, shares));
    log_info(concat("wrote ", pictures_.size(), " pictures to ", folder_.string(),
                    "; index.html shows them"));
  }
  int64_t count() const { return std::ssize(pictures_); }

 private:
  void tell(const SegmentedPicture& picture, const std::string& name) {
    std::vector<int64_t> counts(names_.size());
    const at::Tensor found = at::bincount(picture.predicted_HW.flatten(), {}, std::ssize(names_));
    const auto* count = found.const_data_ptr<int64_t>();
    Json classes = Json::array();
    for (size_t i = 0; i < counts.size(); ++i) {
      pixels_[i] += count[i];
      if (count[i] > 0)
        classes.push_back({{"index", i},
                           {"label", names_[i]},
                           {"share", static_cast<double>(count[i]) /
                                         static_cast<double>(picture.predicted_HW.numel())}});
    }
    num_pixels_ += picture.predicted_HW.numel();
    const Json line = {{"path", picture.id}, {"mask", name + ".png"}, {"classes", classes}};
    const std::string text = line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    lines_ += text;
    if (flags_.common.is_json) print_out(text);
  }

  const SegmentRunFlags& flags_;
  fs::path folder_;
  FileOps ops_;
  std::vector<std::string> names_;
  FreeNames free_names_{{".png", ".overlay.png", ".scores.safetensors"}};
  std::vector<int64_t> pixels_;
  int64_t num_pixels_ = 0;
  std::vector<SheetPicture> pictures_;
  std::string lines_;
};

void run_segment_run(const SegmentRunFlags& flags) {
  const Device device = begin_command(flags.common);
  resolve_checkpoint(flags.checkpoint.path);
  const auto source = open_image_files(flags.images.images, flags.images.list);
  check_is_apart(*source, flags.common.out);
  LoadedPixelPredictor loaded = load_pixel_predictor(
      flags.checkpoint.path, predictor_options(flags.common, device), flags.how);
  apply_checkpoint_flags(flags.checkpoint, loaded.model);
  SegmentedOutput output(flags, loaded.info.names);
  EvalOptions options =
      eval_options(flags.images.loader, flags.common.is_quiet, "segment", source->size());
  options.on_bad_samples = [](const std::vector<BadSample>& bad) {
    for (const BadSample& sample : bad) log_warn(left_out_text(sample));
  };
  segment_all(*loaded.pixels, *loaded.model.predictor, *source,
              Transforms(loaded.model.info.pp_eval), options,
              [&](const SegmentedPicture& picture) { output.add(picture, *source); });
  output.finish();
}

}  // namespace

void add_view_flags(CLI::App& command, SegmentOptions& how) {
  command
      .add_option("--window", how.window,
                  "side of sliding windows in pixels of the view; the checkpoint's own by default")
      ->check(CLI::Range(0, 65'536));
  command.add_option("--stride", how.stride, "between windows; two thirds of one by default")
      ->check(CLI::Range(0, 65'536));
  command
      .add_option("--scales", how.scales,
                  "sizes of the view whose probabilities are averaged, such as 0.75,1,1.25")
      ->delimiter(',');
  command.add_flag("--flip", how.has_flips, "average with the mirrored view");
}

void add_segment_run(CLI::App& segment) {
  auto flags = std::make_shared<SegmentRunFlags>();
  CLI::App* command = segment.add_subcommand(
      "run", "the classes of image files' pixels: id PNGs, overlays, a page of all");
  add_checkpoint_flags(*command, flags->checkpoint, "run folder or checkpoint with such a head");
  add_image_flags(*command, flags->images);
  add_view_flags(*command, flags->how);
  command->add_flag("--scores", flags->has_scores,
                    "also write NAME.safetensors with `scores` [classes, h, w]");
  add_common_flags(*command, flags->common, kDevice | kPrecision | kStore | kOut | kJson,
                   "folder for the pictures");
  segment.require_subcommand(0, 1);
  command->callback([flags] { run_segment_run(*flags); });
}

}  // namespace vit22b
