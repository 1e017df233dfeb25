#include "measure/depth.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/log.h"
#include "data/depth_values.h"
#include "eval/gathered.h"
#include "measure/depth_files.h"

namespace vit22b {
namespace {

constexpr size_t kMostWorst = 12, kMostNamed = 3;
constexpr double kMostOff = 20;  // between depths of one unit

double median_where(const at::Tensor& values, const at::Tensor& is_there) {
  return at::median(values.masked_select(is_there)).item<double>();
}

/// throws  DataError naming the first place where a prediction is no number
void check_finite(const at::Tensor& predicted_HW, const at::Tensor& is_there,
                  const std::string& id) {
  const at::Tensor wrong = predicted_HW.isfinite().logical_not().logical_and(is_there).nonzero();
  if (wrong.size(0) > 0)
    throw DataError(id, ": the prediction is no number at row ", wrong[0][0].item<int64_t>(),
                    ", column ", wrong[0][1].item<int64_t>(), ", and at ", wrong.size(0) - 1,
                    " more pixels that count");
}

std::vector<double> as_list(const metrics::DepthSums& s) {
  return {s.relative,    s.relative_squares, s.squares,      s.logs,
          s.log_squares, s.log10s,           s.log1p_squares};
}

metrics::DepthSums from_list(const std::vector<double>& list, int64_t pixels,
                             const std::vector<int64_t>& within) {
  metrics::DepthSums s{pixels,     list.at(0), list.at(1), list.at(2),
                       list.at(3), list.at(4), list.at(5), list.at(6)};
  std::copy_n(within.begin(), s.within.size(), s.within.begin());
  return s;
}

double median_of(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

DepthMeasure::DepthMeasure(DepthProtocol protocol, uint64_t seed)
    : protocol_(std::move(protocol)), seed_(seed) {
  protocol_.check();
}

void DepthMeasure::add(const at::Tensor& predicted_HW, const at::Tensor& truth_HW,
                       const std::string& id, int64_t index) {
  if (predicted_HW.sizes() != truth_HW.sizes())
    throw DataError(id, ": the prediction has ", predicted_HW.size(0), " x ", predicted_HW.size(1),
                    " pixels, the truth ", truth_HW.size(0), " x ", truth_HW.size(1),
                    "; both have to be of one size");
  num_not_finite_ += truth_HW.isfinite().logical_not().sum().item<int64_t>();
  const at::Tensor truth = protocol_.counted(truth_HW, id);
  const at::Tensor is_there = truth.gt(0);
  if (!is_there.any().item<bool>() || !protocol_.can_align_to(truth)) {
    without_truth_.push_back(id);
    return;
  }
  check_finite(predicted_HW, is_there, id);
  const at::Tensor depth = protocol_.metres(predicted_HW, truth, id, num_raised_);
  const double middle = median_where(truth, is_there);
  pictures_.push_back({id, index, metrics::sum_depth_errors(depth, truth), middle,
                       median_where(depth, is_there) / middle});
}

// Brings every rank's pictures to all, in the order of the source.
void DepthMeasure::gather(const Mesh& mesh) {
  if (mesh.size(MeshAxis::kData) == 1) return;
  nlohmann::json own = nlohmann::json::array();
  for (const Picture& p : pictures_)
    own.push_back(
        {p.id, p.index, as_list(p.sums), p.sums.pixels, p.sums.within, p.truth_m, p.ratio});
  nlohmann::json rest = {without_truth_, num_not_finite_, num_raised_};
  pictures_.clear();
  for (const auto& one : gathered(own, mesh)) {
    Picture& p = pictures_.emplace_back();
    p.id = one[0].get<std::string>();
    p.index = one[1].get<int64_t>();
    p.sums = from_list(one[2].get<std::vector<double>>(), one[3].get<int64_t>(),
                       one[4].get<std::vector<int64_t>>());
    p.truth_m = one[5].get<double>();
    p.ratio = one[6].get<double>();
  }
  std::stable_sort(pictures_.begin(), pictures_.end(),
                   [](const Picture& a, const Picture& b) { return a.index < b.index; });
  without_truth_.clear();
  num_not_finite_ = num_raised_ = 0;
  for (const auto& one : gathered(nlohmann::json::array({rest}), mesh)) {
    for (const auto& id : one[0]) without_truth_.push_back(id.get<std::string>());
    num_not_finite_ += one[1].get<int64_t>();
    num_raised_ += one[2].get<int64_t>();
  }
}

void DepthMeasure::warn_of_units() const {
  std::vector<double> truths, ratios;
  for (const Picture& p : pictures_) {
    truths.push_back(p.truth_m);
    ratios.push_back(p.ratio);
  }
  const double truth = median_of(truths), ratio = median_of(ratios);
  if (truth < kNearestPlausibleM || truth > kFarthestPlausibleM)
    log_warn(concat("half of the truth is beyond ", formatted("%.4g m", truth),
                    ", which no camera's pictures are; is it of another unit?"));
  if (protocol_.align == "none" && (ratio > kMostOff || ratio < 1 / kMostOff))
    log_warn(concat("predictions are ", formatted("%.4g", ratio),
                    " times the truth; are they of another unit, or relative?"));
}

void DepthMeasure::warn_of_left_out() const {
  if (!without_truth_.empty()) {
    const std::vector<std::string> named(
        without_truth_.begin(), without_truth_.begin() + static_cast<std::ptrdiff_t>(std::min(
                                                             kMostNamed, without_truth_.size())));
    log_warn(concat(without_truth_.size(), " depth maps have no pixel that counts",
                    protocol_.align == "least_squares" ? ", or one depth everywhere: " : ": ",
                    join(named, ", "), without_truth_.size() > kMostNamed ? ", …" : ""));
  }
  if (num_raised_ > 0)
    log_warn(concat(num_raised_, " predictions are not above 0; they count as ",
                    protocol_.min_depth_m, " m"));
}

void DepthMeasure::add_errors(Result& result) const {
  const std::vector<Metric> metrics = metrics::depth_metrics();
  metrics::DepthSums all;
  std::vector<std::vector<double>> each;
  for (const Picture& p : pictures_) {
    all.add(p.sums);
    each.push_back(metrics::depth_errors(p.sums));
  }
  const std::vector<double> of_pixels = metrics::depth_errors(all);
  for (size_t k = 0; k < metrics.size(); ++k) {
    std::vector<double> values;
    values.reserve(each.size());
    for (const std::vector<double>& errors : each) values.push_back(errors[k]);
    const at::Tensor row = at::tensor(values, at::kDouble).unsqueeze(0);
    Metric metric = metrics[k];
    metric.name += ".per_image";
    ResultNumber& number =
        result.numbers.emplace_back(ResultNumber{metric, row.mean().item<double>()});
    number.interval = metrics::bootstrap_interval(row, seed_);
    number.label = metrics[k].name;
    metric.name = metrics[k].name + ".per_pixel";
    result.numbers.push_back(ResultNumber{metric, of_pixels[k]});
  }
}

ResultTable DepthMeasure::worst() const {
  std::vector<std::pair<double, const Picture*>> order;
  for (size_t i = 0; i < pictures_.size(); ++i)
    order.emplace_back(metrics::depth_errors(pictures_[i].sums).front(), &pictures_[i]);
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  order.resize(std::min(order.size(), kMostWorst));
  ResultTable rows{"worst", ResultTable::Form::kRecords, {"id", "index", "abs_rel"}, {}};
  for (const auto& [value, p] : order) rows.rows.push_back({p->id, p->index, value});
  return rows;
}

Result DepthMeasure::finish(const Mesh& mesh) {
  gather(mesh);
  if (pictures_.empty())
    throw DataError("none of ", without_truth_.size(), " depth maps has a pixel that counts",
                    without_truth_.empty() ? "" : concat(", the first is ", without_truth_[0]),
                    "; look at the unit, at the bounds of depth and at the crop");
  warn_of_units();
  warn_of_left_out();
  Result result{"depth"};
  add_errors(result);
  const auto count = [&](const char* name, const char* unit, int64_t value) {
    result.numbers.push_back(ResultNumber{{name, unit}, static_cast<double>(value)});
    result.numbers.back().is_count = true;
  };
  metrics::DepthSums all;
  for (const Picture& p : pictures_) all.add(p.sums);
  count("num_pixels", "pixels", all.pixels);
  count("num_without_truth", "pictures", std::ssize(without_truth_));
  count("num_not_finite", "pixels", num_not_finite_);
  count("num_not_above_zero", "pixels", num_raised_);
  count("num_images", "pictures", std::ssize(pictures_));  // the last is told in the line
  result.tables.push_back(worst());
  result.settings = {{"crop", protocol_.crop},
                     {"align", protocol_.align},
                     {"is_inverse", protocol_.is_inverse},
                     {"min_depth_m", protocol_.min_depth_m},
                     {"max_depth_m", protocol_.max_depth_m}};
  return result;
}

Result measure_depths(const std::filesystem::path& predictions, double predicted_step,
                      const std::filesystem::path& truth, double truth_step,
                      const DepthProtocol& protocol, const Watch& watch) {
  DepthMeasure measure(protocol);
  const auto said = depth_files(predictions), is = depth_files(truth);
  int64_t done = 0;
  for (const auto& [name, file] : is) {
    if (watch.should_stop()) throw Stopped("stopped during an evaluation; nothing of it is kept");
    const auto prediction = said.find(name);
    if (prediction == said.end())
      throw DataError(file, " has no prediction in ", predictions.string(), "; want ", name,
                      ".npy or ", name, ".png there");
    measure.add(read_depth(prediction->second, predicted_step), read_depth(file, truth_step), name,
                done);
    watch.on_progress(++done, std::ssize(is));
  }
  if (said.size() > is.size())
    log_warn(concat(said.size() - is.size(), " predictions have no truth in ", truth.string(),
                    " and are left out"));
  return measure.finish(single_process());
}

}  // namespace vit22b
