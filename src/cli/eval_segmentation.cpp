#include <CLI/CLI.hpp>

#include "checkpoint/run_checkpoint.h"
#include "cli/checkpoint_flags.h"
#include "cli/eval_measures.h"
#include "cli/measured_model.h"
#include "cli/result_output.h"
#include "cli/segment_run.h"
#include "cli/split_choice.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "data/class_names.h"
#include "data/decode.h"
#include "data/derived_sources.h"
#include "data/encode.h"
#include "explain/class_pictures.h"
#include "measure/segmentation.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

struct SegmentationFlags {
  CLI::App* command = nullptr;
  CommonFlags common;
  CheckpointFlags checkpoint;
  SplitFlags split;
  LoaderFlags loader{.batch = 16};
  SegmentOptions how;
  std::string predictions, truth, names;
  int64_t classes = 0;
  MaskLabels labels;
};

/// The classes that --classes and --labels name.
std::vector<std::string> class_names_of(const SegmentationFlags& flags) {
  if (!flags.names.empty()) return read_labels(flags.names, flags.classes);
  if (flags.classes < 1) throw UsageError("give --classes N, the number of classes");
  return numbered_names(flags.classes);
}

void run_masks(const SegmentationFlags& flags) {
  refuse_options(*flags.command,
                 {"--data", "--split", "--window", "--stride", "--scales", "--flip"},
                 "of a checkpoint; --predictions are there already");
  if (flags.predictions.empty() || flags.truth.empty())
    throw UsageError("give a checkpoint, or --predictions DIR and --truth DIR");
  begin_command(flags.common);
  Result result = measure_masks(flags.predictions, flags.truth, flags.labels, class_names_of(flags),
                                watch_with_progress("eval", 0, flags.common.is_quiet));
  result.settings = {{"predictions", flags.predictions}, {"truth", flags.truth}};
  result.provenance.command = "vit22b " + join(command_words(), " ");
  tell_result(flags.common, result);
}

/// The worst pictures of a result beside their truth, into a run's results folder.
class WorstPictures {
 public:
  WorstPictures(const fs::path& folder, const Result& result, const std::vector<std::string>& names)
      : folder_(folder), names_(names) {
    for (const ResultTable& table : result.tables)
      if (table.name == "worst")
        for (const std::vector<Cell>& row : table.rows)
          worst_[std::get<int64_t>(row[1])] = std::get<double>(row[2]);
  }

  /// Their numbers in the source, in its order.
  std::vector<int64_t> indices() const {
    std::vector<int64_t> indices;
    indices.reserve(worst_.size());
    for (const auto& [index, iou] : worst_) indices.push_back(index);
    return indices;
  }
  /// index  in the whole source
  void add(const SegmentedPicture& picture, int64_t index, const DataSource& source) {
    const Sample sample = source.read(index);
    const at::Tensor original = decode_image(sample.fields.at(kImageField).encoded, picture.id);
    const int64_t plain = plain_class(names_);
    kept_[index] = {picture.id, class_overlay(original, picture.predicted_HW, plain),
                    class_overlay(original, picture.truth_HW, plain)};
  }
  /// The pages' files, the worst first.
  void write(FileOps& ops) const {
    ops.make_folder(folder_);
    std::vector<std::pair<double, int64_t>> order;
    for (const auto& [index, iou] : worst_) order.emplace_back(iou, index);
    std::sort(order.begin(), order.end());
    std::vector<SheetPicture> sheet;
    for (const auto& [iou, index] : order) {
      const auto kept = kept_.find(index);
      if (kept == kept_.end()) continue;
      const std::string said = concat(index, ".png"), truth = concat(index, ".truth.png");
      write_text(ops, folder_ / said, encode_png(kept->second.said));
      write_text(ops, folder_ / truth, encode_png(kept->second.truth));
      sheet.push_back({said, concat(kept->second.id, ": mIoU ", formatted("%.3f", iou))});
      sheet.push_back({truth, "truth"});
    }
    write_text(ops, folder_ / "index.html",
               class_sheet("The pictures with the lowest mIoU", sheet, names_,
                           std::vector<double>(names_.size(), 0)));
  }

 private:
  struct Kept {
    std::string id;
    at::Tensor said, truth;
  };
  fs::path folder_;
  std::vector<std::string> names_;
  std::map<int64_t, double> worst_;
  std::map<int64_t, Kept> kept_;
};

/// How a checkpoint's masks are read: as its own were unless the options say otherwise.
MaskLabels labels_of(const SegmentationFlags& flags, const SegmentationInfo& info) {
  MaskLabels labels = info.labels;
  if (flags.command->count("--ignore-index") > 0) labels.ignore_index = flags.labels.ignore_index;
  if (flags.command->count("--label-offset") > 0) labels.label_offset = flags.labels.label_offset;
  return labels;
}

void run_model(const SegmentationFlags& flags) {
  refuse_options(*flags.command, {"--predictions", "--truth", "--classes", "--labels"},
                 "the checkpoint makes the predictions and knows the classes");
  const Device device = begin_command(flags.common);
  resolve_checkpoint(flags.checkpoint.path);
  LoadedPixelPredictor loaded = load_pixel_predictor(
      flags.checkpoint.path, predictor_options(flags.common, device), flags.how);
  apply_checkpoint_flags(flags.checkpoint, loaded.model);
  const ChosenSplit split = choose_split(flags.checkpoint.path, flags.split);
  log_info(split.as_text());
  const MaskLabels labels = labels_of(flags, loaded.info);
  const auto source = with_mask_classes(split.source, labels, loaded.info.num_classes());
  const Transforms transforms(loaded.model.info.pp_eval);
  EvalOptions options = eval_options(flags.loader, flags.common.is_quiet, "eval", source->size());
  Result result = measure_segmentation(*loaded.pixels, *loaded.model.predictor, *source, transforms,
                                       options, SegmentationMeasure(loaded.info.names));
  result.settings = {{"label_offset", labels.label_offset}, {"ignore_index", labels.ignore_index}};
  result.provenance = {loaded.model.checkpoint.path().string(),
                       saved_step(loaded.model.checkpoint.folder),
                       split.text,
                       split.split,
                       split.source->fingerprint(),
                       "vit22b " + join(command_words(), " ")};
  tell_result(flags.common, result, [&](const std::string& json) {
    const fs::path results = fs::path(flags.checkpoint.path) / "results";
    if (!run_config(flags.checkpoint.path) || !split.is_own) return;
    if (!keep_in_run(flags.checkpoint.path, "segmentation.json", json)) return;
    FileOps ops;
    WorstPictures worst(results / "segmentation", result, loaded.info.names);
    const std::vector<int64_t> indices = worst.indices();
    const auto subset = make_subset(source, indices);
    segment_all(*loaded.pixels, *loaded.model.predictor, *subset, transforms, options,
                [&](const SegmentedPicture& picture) {
                  worst.add(picture, indices.at(static_cast<size_t>(picture.index)), *source);
                });
    worst.write(ops);
    log_info(concat("the worst pictures: ", (results / "segmentation/index.html").string()));
  });
}

}  // namespace

void add_eval_segmentation(CLI::App& eval) {
  auto flags = std::make_shared<SegmentationFlags>();
  CLI::App* command = eval.add_subcommand(
      "segmentation", "mean IoU of classes of pixels: of a head, or of anybody's masks");
  flags->command = command;
  command->add_option("checkpoint", flags->checkpoint.path,
                      "run folder or checkpoint with a head; or --predictions");
  command->add_option("--data", flags->split.data, source_help());
  add_split_flags(*command, flags->split);
  command->add_option("--predictions", flags->predictions, "folder of PNGs: a class a pixel");
  command->add_option("--truth", flags->truth, "folder of PNGs of the same names");
  command->add_option("--classes", flags->classes, "their number")->check(CLI::Range(1, 65'535));
  add_labels_flag(*command, flags->names, "file with the name of a class a line");
  command->add_option("--ignore-index", flags->labels.ignore_index,
                      "value of the truth's pixels that have no class");
  command->add_option("--label-offset", flags->labels.label_offset,
                      "added to the truth's other values; -1 where 0 is no class");
  add_view_flags(*command, flags->how);
  add_pixel_flags(*command, flags->checkpoint.pixels);
  add_loader_flags(*command, flags->loader);
  add_common_flags(*command, flags->common, kDevice | kPrecision | kStore | kOut | kJson,
                   "also write the JSON result here");
  command->callback(
      [flags] { flags->checkpoint.path.empty() ? run_masks(*flags) : run_model(*flags); });
}

}  // namespace vit22b
