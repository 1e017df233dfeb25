#include "model/dense/head_parts.h"

#include <cmath>

#include "core/error.h"
#include "core/rng.h"

namespace vit22b {
namespace {

ParameterRow row_of(const std::string& name, std::vector<int64_t> shape, Initialiser initialiser,
                    ParameterGroup group) {
  ParameterRow row;
  row.local_name = name;
  row.shape = std::move(shape);
  row.initialiser = initialiser;
  row.group = group;
  return row;
}

Initialiser constant(double value) {
  return {Initialiser::Kind::kConstant, value};
}

}  // namespace

void add_conv_rows(const std::string& name, const ConvShape& conv, double deviation,
                   std::vector<ParameterRow>& rows) {
  std::vector<int64_t> shape = {conv.out, conv.in};
  if (conv.kernel > 0) shape.insert(shape.end(), {conv.kernel, conv.kernel});
  const auto fan_in =
      static_cast<double>(conv.in * std::max<int64_t>(1, conv.kernel * conv.kernel));
  if (deviation == 0) deviation = std::sqrt(2 / fan_in);
  rows.push_back(row_of(name + ".weight", shape, {Initialiser::Kind::kNormal, deviation},
                        ParameterGroup::kKernel));
  if (conv.has_bias)
    rows.push_back(row_of(name + ".bias", {conv.out}, constant(0), ParameterGroup::kBias));
}

void add_norm_rows(const std::string& name, int64_t channels, std::vector<ParameterRow>& rows) {
  rows.push_back(row_of(name + ".weight", {channels}, constant(1), ParameterGroup::kNorm));
  rows.push_back(row_of(name + ".bias", {channels}, constant(0), ParameterGroup::kNorm));
  rows.push_back(
      row_of(name + ".running_mean", {channels}, constant(0), ParameterGroup::kStatistic));
  rows.push_back(
      row_of(name + ".running_var", {channels}, constant(1), ParameterGroup::kStatistic));
}

at::Tensor drop_channels(const at::Tensor& x_BHWC, double share, const DensePass* training) {
  if (training == nullptr || share == 0) return x_BHWC;
  const int64_t images = x_BHWC.size(0), channels = x_BHWC.size(3);
  VIT22B_CHECK(training->samples_B.numel() == images, "drop_channels: ", images, " images, ",
               training->samples_B.numel(), " samples");
  const CounterRng rng(training->seed, concat("dropout.", training->step), "head");
  const at::Tensor samples_B = training->samples_B.cpu();
  at::Tensor kept_BC = at::empty({images, channels});
  auto* kept = kept_BC.mutable_data_ptr<float>();
  const auto* sample = samples_B.const_data_ptr<int64_t>();
  const auto scale = static_cast<float>(1 / (1 - share));
  for (int64_t i = 0; i < images; ++i)
    for (int64_t c = 0; c < channels; ++c) {
      const float drawn = rng.uniform(static_cast<uint64_t>(sample[i] * channels + c));
      kept[i * channels + c] = static_cast<double>(drawn) < share ? 0 : scale;
    }
  return x_BHWC * kept_BC.to(x_BHWC.device()).view({images, 1, 1, channels});
}

}  // namespace vit22b
