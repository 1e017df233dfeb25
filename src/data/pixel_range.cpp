#include "data/pixel_range.h"

#include <ATen/ATen.h>

#include <cmath>

#include "core/error.h"

namespace vit22b {
namespace {

// Of the range itself: far below what float32 keeps of it.
constexpr double kNear = 1e-9;

double at_channel(const std::vector<double>& values, size_t channel) {
  return values.size() == 1 ? values[0] : values.at(channel);
}

PixelRange normalize_range(const TransformCall& c) {
  const size_t channels = c.arguments.size() / 2;
  if (channels == 0 || c.arguments.size() % 2 != 0)
    throw UsageError("preprocessing: normalize wants as many means as standard deviations, got ",
                     c.arguments.size(), " numbers");
  PixelRange range;
  for (size_t i = 0; i < channels; ++i) {
    const double stddev = c.number(channels + i, "a standard deviation");
    if (!(stddev > 0))
      throw UsageError("preprocessing: normalize wants standard deviations above 0");
    range.scale.push_back(1 / (255 * stddev));
    range.shift.push_back(-c.number(i, "a mean") / stddev);
  }
  return range;
}

}  // namespace

bool PixelRange::is_near(const PixelRange& other) const {
  const size_t channels = std::max(scale.size(), other.scale.size());
  for (const PixelRange* range : {this, &other})
    if (range->scale.size() != 1 && range->scale.size() != channels) return false;
  for (size_t c = 0; c < channels; ++c) {
    const double white = 255 * std::abs(at_channel(scale, c));
    if (255 * std::abs(at_channel(scale, c) - at_channel(other.scale, c)) > kNear * white ||
        std::abs(at_channel(shift, c) - at_channel(other.shift, c)) > kNear * white)
      return false;
  }
  return true;
}

PixelRange range_of(const TransformCall& call) {
  if (call.name == "normalize") return normalize_range(call);
  const double low = call.number(0, "a lowest value"), high = call.number(1, "a highest value");
  if (low == high)
    throw UsageError("preprocessing: value_range wants two different values, got ", low, " twice");
  return {{(high - low) / 255}, {low}};
}

std::string range_operation(const std::string& transform) {
  std::string last;
  for (const std::string& part : split(transform, '|')) {
    const std::string operation = trim(part), name = parse_transform_call(operation).name;
    if (name == "value_range" || name == "normalize") last = operation;
  }
  return last;
}

std::optional<PixelRange> pixel_range(const std::string& transform) {
  const std::string operation = range_operation(transform);
  if (operation.empty()) return std::nullopt;
  return range_of(parse_transform_call(operation));
}

at::Tensor in_range(const at::Tensor& images_BCHW, const PixelRange& from, const PixelRange& to) {
  if (from.is_near(to)) return images_BCHW;
  const auto channels = static_cast<size_t>(images_BCHW.size(1));
  std::vector<double> scale, shift;
  for (const PixelRange* range : {&from, &to})
    if (range->scale.size() != 1 && range->scale.size() != channels)
      throw UsageError("preprocessing: a range of ", range->scale.size(),
                       " channels, the images have ", channels);
  for (size_t c = 0; c < channels; ++c) {
    scale.push_back(at_channel(to.scale, c) / at_channel(from.scale, c));
    shift.push_back(at_channel(to.shift, c) - at_channel(from.shift, c) * scale.back());
  }
  const auto as_planes = [&](const std::vector<double>& values) {
    return at::tensor(values, at::kDouble)
        .to(images_BCHW.device(), images_BCHW.scalar_type())
        .view({1, -1, 1, 1});
  };
  return at::addcmul(as_planes(shift), images_BCHW, as_planes(scale));
}

}  // namespace vit22b
