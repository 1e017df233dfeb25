#include "measure/segmentation.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/log.h"
#include "data/decode.h"
#include "data/sources/image_folder.h"
#include "data/sources/mask_folder.h"
#include "data/sources/picture_walk.h"
#include "eval/gathered.h"
#include "eval/picture_views.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostWorst = 12;

/// The mean IoU of the classes that one picture has or is said to have.
double own_iou(const metrics::PixelCounts& counts) {
  return metrics::mean_of_defined(metrics::iou_per_class(counts));
}

void add_list(Result& result, const std::string& name, const std::vector<double>& values) {
  ResultTable list{name, ResultTable::Form::kList, {}, {}};
  list.rows.reserve(values.size());
  for (const double value : values) list.rows.push_back({value});
  result.tables.push_back(std::move(list));
}

ResultTable class_table(const std::vector<std::string>& names, const metrics::PixelCounts& counts) {
  ResultTable table{"classes",
                    ResultTable::Form::kRecords,
                    {"class", "iou", "accuracy", "dice", "share"},
                    {},
                    "by class; share of the labelled pixels"};
  const std::vector<double> iou = metrics::iou_per_class(counts),
                            accuracy = metrics::accuracy_per_class(counts),
                            dice = metrics::dice_per_class(counts);
  const auto all = static_cast<double>(std::max<int64_t>(1, counts.pixels()));
  for (size_t i = 0; i < names.size(); ++i)
    table.rows.push_back(
        {names[i], iou[i], accuracy[i], dice[i], static_cast<double>(counts.truth[i]) / all});
  return table;
}

}  // namespace

void SegmentationMeasure::add(const at::Tensor& predicted_HW, const at::Tensor& truth_HW,
                              const std::string& id, int64_t index) {
  pictures_.push_back({id, index, metrics::count_pixels(predicted_HW, truth_HW, num_classes())});
  all_.add(pictures_.back().counts);
  boundaries_.add(metrics::count_boundaries(predicted_HW, truth_HW, num_classes()));
}

// Brings every rank's pictures to all, in the order of the source.
void SegmentationMeasure::gather(const Mesh& mesh) {
  if (mesh.size(MeshAxis::kData) == 1) return;
  nlohmann::json own = nlohmann::json::array();
  for (const Picture& p : pictures_)
    own.push_back({p.id, p.index, p.counts.both, p.counts.truth, p.counts.predicted});
  pictures_.clear();
  all_ = metrics::PixelCounts(num_classes());
  for (const auto& one : gathered(own, mesh)) {
    Picture& p = pictures_.emplace_back(
        Picture{one[0].get<std::string>(), one[1].get<int64_t>(), metrics::PixelCounts()});
    p.counts.both = one[2].get<std::vector<int64_t>>();
    p.counts.truth = one[3].get<std::vector<int64_t>>();
    p.counts.predicted = one[4].get<std::vector<int64_t>>();
    all_.add(p.counts);
  }
  std::stable_sort(pictures_.begin(), pictures_.end(),
                   [](const Picture& a, const Picture& b) { return a.index < b.index; });
  for (std::vector<int64_t>* counts :
       {&boundaries_.both, &boundaries_.truth, &boundaries_.predicted}) {
    const at::Tensor sums = at::tensor(*counts, at::kLong);
    mesh.sum_(sums, MeshAxis::kData, "boundaries");
    counts->assign(sums.const_data_ptr<int64_t>(), sums.const_data_ptr<int64_t>() + sums.numel());
  }
}

Result SegmentationMeasure::finish(const Mesh& mesh) {
  gather(mesh);
  Result result{"segmentation"};
  const std::vector<double> iou = metrics::iou_per_class(all_);
  std::vector<metrics::PixelCounts> counts;
  counts.reserve(pictures_.size());
  for (const Picture& p : pictures_) counts.push_back(p.counts);
  const auto add = [&](const char* name, double value, const char* label) {
    ResultNumber& number =
        result.numbers.emplace_back(ResultNumber{{name, "share", Better::kLarger}, value});
    number.label = label;
    number.is_percent = true;
  };
  add("miou", metrics::mean_of_defined(iou), "mIoU");
  result.numbers.back().interval = metrics::mean_iou_interval(counts, seed_);
  add("pixel_accuracy", metrics::pixel_accuracy(all_), "pixel accuracy");
  add("mean_accuracy", metrics::mean_of_defined(metrics::accuracy_per_class(all_)),
      "mean accuracy");
  add("mean_dice", metrics::mean_of_defined(metrics::dice_per_class(all_)), "dice");
  add("boundary_iou", metrics::mean_of_defined(metrics::iou_per_class(boundaries_)),
      "boundary IoU");
  ResultNumber& pixels = result.numbers.emplace_back(
      ResultNumber{{"num_pixels", "pixels"}, static_cast<double>(all_.pixels())});
  pixels.is_count = true;
  ResultNumber& images = result.numbers.emplace_back(
      ResultNumber{{"num_images", "pictures"}, static_cast<double>(pictures_.size())});
  images.is_count = true;
  add_list(result, "iou_per_class", iou);
  add_list(result, "accuracy_per_class", metrics::accuracy_per_class(all_));
  add_list(result, "dice_per_class", metrics::dice_per_class(all_));
  result.tables.push_back(class_table(names_, all_));
  std::vector<std::pair<double, const Picture*>> worst;
  for (const Picture& p : pictures_)
    if (const double value = own_iou(p.counts); !std::isnan(value)) worst.emplace_back(value, &p);
  std::stable_sort(worst.begin(), worst.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  worst.resize(std::min(worst.size(), kMostWorst));
  ResultTable rows{"worst", ResultTable::Form::kRecords, {"id", "index", "miou"}, {}};
  for (const auto& [value, p] : worst) rows.rows.push_back({p->id, p->index, value});
  result.tables.push_back(std::move(rows));
  return result;
}

std::vector<BadSample> segment_all(PixelPredictor& segmenter, Predictor& backbone,
                                   const DataSource& source, const Transforms& transforms,
                                   const EvalOptions& options, const TellSegmented& tell) {
  const Mesh& mesh = mesh_of(options);
  EvalOptions how = options;
  how.is_ragged = true;
  bool is_told = false;
  return for_each_batch(source, transforms, how, [&](Batch& batch) {
    const int64_t own = passes_of(
        batch, [&](int64_t height, int64_t width) { return segmenter.num_passes(height, width); });
    const auto most = std::llround(mesh.max(static_cast<double>(own), MeshAxis::kData));
    const std::vector<ViewScores> views =
        views_of(batch, [&](const at::Tensor& images) { return segmenter.views(images); });
    for (int64_t pass = own; pass < most; ++pass) backbone.attend();
    const std::vector<at::Tensor> masks = each_of(batch, kMaskField);
    mesh.agree([&] {
      for (size_t i = 0; i < views.size(); ++i) {
        const Geometry& geometry = batch.geometries[i];
        is_told = is_told || warn_of_cut(geometry, views[i], batch.ids[i]);
        const at::Tensor predicted = classes_on_picture(views[i], geometry);
        const at::Tensor truth = masks.empty() ? at::Tensor() : masks[i];
        if (truth.defined()) check_sizes(predicted, truth, batch.ids[i], "mask");
        tell({batch.ids[i], batch.indices_B[static_cast<int64_t>(i)].item<int64_t>(), views[i],
              predicted, truth});
      }
    });
  });
}

Result measure_segmentation(PixelPredictor& segmenter, Predictor& backbone,
                            const DataSource& source, const Transforms& transforms,
                            const EvalOptions& options, SegmentationMeasure measure) {
  const std::vector<BadSample> bad = segment_all(
      segmenter, backbone, source, transforms, options, [&](const SegmentedPicture& picture) {
        measure.add(picture.predicted_HW, picture.truth_HW, picture.id, picture.index);
      });
  Result result = measure.finish(mesh_of(options));
  result.bad_samples = bad;
  return result;
}

namespace {

std::map<std::string, std::string> masks_by_name(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error))
    throw DataError(folder.string(), " is no folder; want one of PNGs");
  FoundPictures found;
  find_pictures(folder.string(), found);
  std::map<std::string, std::string> files;
  const size_t place = (folder / "").string().size();
  for (const std::string& file : found.files)
    files[fs::path(file.substr(place)).replace_extension("").string()] = file;
  if (files.empty()) throw DataError(folder.string(), " has no PNG");
  return files;
}

at::Tensor values_of(const std::string& file) {
  return decode_values(read_image_bytes(file), file).select(2, 0);
}

/// Checks what counts of a prediction.
void check_classes(const at::Tensor& predicted, const at::Tensor& truth, int64_t num_classes,
                   const std::string& file) {
  const at::Tensor wrong = predicted.ge(num_classes).logical_and(truth.ge(0)).nonzero();
  if (wrong.size(0) == 0) return;
  const int64_t y = wrong[0][0].item<int64_t>(), x = wrong[0][1].item<int64_t>();
  throw DataError(file, " has the value ", predicted[y][x].item<int64_t>(), " at row ", y,
                  ", column ", x, "; there are ", num_classes,
                  " classes, and predictions have no offset");
}

}  // namespace

Result measure_masks(const fs::path& predictions, const fs::path& truth, const MaskLabels& labels,
                     const std::vector<std::string>& class_names, const Watch& watch) {
  const auto said = masks_by_name(predictions), is = masks_by_name(truth);
  SegmentationMeasure measure(class_names);
  const auto num_classes = std::ssize(class_names);
  int64_t done = 0;
  for (const auto& [name, file] : is) {
    if (watch.should_stop()) throw Stopped("stopped during an evaluation; nothing of it is kept");
    const auto prediction = said.find(name);
    if (prediction == said.end())
      throw DataError(file, " has no prediction in ", predictions.string(), "; want ", name,
                      ".png there");
    const at::Tensor classes = labels.classes(values_of(file), num_classes, file),
                     predicted = values_of(prediction->second);
    check_sizes(predicted, classes, prediction->second, "mask");
    check_classes(predicted, classes, num_classes, prediction->second);
    measure.add(predicted, classes, name, done);
    watch.on_progress(++done, std::ssize(is));
  }
  if (said.size() > is.size())
    log_warn(concat(said.size() - is.size(), " predictions have no truth in ", truth.string(),
                    " and are left out"));
  return measure.finish(single_process());
}

}  // namespace vit22b
