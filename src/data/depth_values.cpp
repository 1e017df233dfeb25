#include "data/depth_values.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "data/decode.h"
#include "data/sources/depth_folder.h"

namespace vit22b {
namespace {

/// Metres, decoded or as they are; or what a PNG's values are in steps.
at::Tensor metres_of(const Sample& sample, double step_m) {
  const auto depth = sample.fields.find(kDepthField);
  if (depth == sample.fields.end())
    throw DataError(sample.id, " has no depth map; want data with depth, such as depth:DIR");
  if (depth->second.value.defined()) return depth->second.value;
  const std::string name = "the depth map of " + sample.id;
  const at::Tensor values = decode_values(depth->second.encoded, name, sample.max_pixels);
  check_depth_bits(depth->second.encoded, name);
  return (values.to(at::kDouble) * step_m).to(at::kFloat);
}

class DepthMetres : public DataSource {
 public:
  DepthMetres(std::shared_ptr<const DataSource> source, double step_m)
      : source_(std::move(source)), step_m_(step_m) {}

  int64_t size() const override { return source_->size(); }
  Sample read(int64_t index) const override {
    Sample sample = source_->read(index);
    sample.fields[kDepthField] = {FieldKind::kDepth, metres_of(sample, step_m_)};
    return sample;
  }
  std::string id(int64_t index) const override { return source_->id(index); }
  int64_t label(int64_t index) const override { return source_->label(index); }
  const std::vector<std::string>& label_names() const override { return source_->label_names(); }
  std::string fingerprint() const override { return source_->fingerprint() + rule(); }
  SourceIdentity identity() const override {
    const SourceIdentity own = source_->identity();
    return {own.names + rule(), own.contents};
  }
  int64_t held_bytes() const override { return source_->held_bytes(); }

 private:
  std::string rule() const { return concat("+", step_m_, " m a step"); }

  std::shared_ptr<const DataSource> source_;
  double step_m_;
};

}  // namespace

void check_depth_bits(std::span<const uint8_t> png, const std::string& name,
                      const char* otherwise) {
  constexpr int kWantedBits = 16;
  if (const int bits = png_bits(png); bits < kWantedBits)
    throw DataError(name, " has ", bits, " bits a pixel, which are too few for depths; want a PNG ",
                    "of ", kWantedBits, otherwise);
}

double depth_step_m(const std::string& unit) {
  if (unit == "m") return 1;
  if (unit == "cm") return 0.01;
  if (unit == "mm") return 0.001;
  const auto number = leading_number(unit);
  double step = number ? number->first : 0;
  if (number && number->second.starts_with("/")) {
    const auto below = leading_number(number->second.substr(1));
    step = below && below->second.empty() ? step / below->first : 0;
  } else if (number && !number->second.empty()) {
    step = 0;
  }
  if (!(step > 0 && std::isfinite(step)))
    throw UsageError("the unit '", unit,
                     "': want mm, cm, m, or the metres of a step, such as 1/256 or 0.0002");
  return step;
}

std::shared_ptr<const DataSource> with_depth_metres(std::shared_ptr<const DataSource> source,
                                                    double step_m) {
  return std::make_shared<DepthMetres>(std::move(source), step_m);
}

DepthSpread spread_of_depths(const DataSource& source, int64_t most_maps, const Watch& watch) {
  const int64_t total = source.size(), count = std::min(total, most_maps);
  DepthSpread spread;
  std::vector<double> medians;
  double measured = 0, pixels = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (watch.should_stop()) throw Stopped("stopped while looking at depth maps");
    const at::Tensor depth = source.read(i * total / count).fields.at(kDepthField).value;
    const at::Tensor there = depth.masked_select(depth.gt(0));
    ++spread.num_maps;
    pixels += static_cast<double>(depth.numel());
    measured += static_cast<double>(there.numel());
    if (there.numel() == 0) {
      ++spread.num_empty;
      continue;
    }
    const double nearest = there.min().item<double>(), farthest = there.max().item<double>();
    spread.nearest = medians.empty() ? nearest : std::min(spread.nearest, nearest);
    spread.farthest = std::max(spread.farthest, farthest);
    medians.push_back(at::median(there).item<double>());
    watch.on_progress(i + 1, count);
  }
  if (medians.empty())
    throw DataError("none of ", count, " depth maps that were looked at measures anything; 0 is ",
                    "for pixels without a depth");
  std::sort(medians.begin(), medians.end());
  spread.median = medians[medians.size() / 2];
  spread.measured_share = measured / pixels;
  return spread;
}

}  // namespace vit22b
