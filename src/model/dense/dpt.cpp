#include <cmath>

#include "core/text.h"
#include "model/dense/head_parts.h"

namespace vit22b {
namespace {

constexpr int64_t kDptLevels = 4, kSame = 2, kCoarsest = 3;
constexpr int64_t kRaised[] = {4, 2};  // by how much the first two levels are finer than patches

std::string level_name(const char* name, int64_t level, const char* part = "") {
  return concat(name, ".", level, part);
}

/// DPT's interpolation: corners lie on corners.
at::Tensor raised(const at::Tensor& x_BCHW, at::IntArrayRef size) {
  return at::upsample_bilinear2d(x_BCHW, size, /*align_corners=*/true);
}

/// A head's weights as layers.
class DptLayers {
 public:
  explicit DptLayers(const NamedTensors& weights) : weights_(weights) {}

  const at::Tensor& weight(const std::string& name) const { return weights_.at(name + ".weight"); }
  at::Tensor bias(const std::string& name) const {
    const auto bias = weights_.find(name + ".bias");
    return bias == weights_.end() ? at::Tensor() : bias->second;
  }
  at::Tensor conv(const std::string& name, const at::Tensor& x_BCHW, int64_t stride = 1) const {
    return at::conv2d(x_BCHW, weight(name), bias(name), stride, weight(name).size(2) / 2);
  }
  /// A convolution with a kernel of 1: a linear layer at each place.
  at::Tensor linear(const std::string& name, const at::Tensor& x_BHWC) const {
    return at::linear(x_BHWC, weight(name).flatten(1), bias(name));
  }
  /// ReLU, convolution, ReLU, convolution, added to x.
  at::Tensor residual(const std::string& name, const at::Tensor& x_BCHW) const {
    const at::Tensor first = conv(name + ".conv1", at::relu(x_BCHW));
    return x_BCHW + conv(name + ".conv2", at::relu(first));
  }

 private:
  const NamedTensors& weights_;
};

/// DPT (Ranftl et al. 2021) over the one scale of a plain vision transformer: four blocks' outputs
/// as maps of 4, 2, 1 and 1/2 times the patches' grid, fused from the coarsest to the finest, and
/// three convolutions on the way to pixels.
///
/// source  isl-org/DPT dpt/{vit,blocks,models}.py; transformers models/dpt and
///         models/depth_anything; facebookresearch/dinov2
///         eval/depth/models/decode_heads/dpt_head.py
class DptHead : public DenseHead {
 public:
  DptHead(const DenseHeadConfig& config, const DenseShape& shape)
      : config_(config), shape_(shape) {}

  std::vector<ParameterRow> rows() const override {
    std::vector<ParameterRow> rows;
    const auto add = [&](const std::string& name, const ConvShape& shape) {
      const int64_t fan_in = shape.in * std::max<int64_t>(1, shape.kernel * shape.kernel);
      // PyTorch's own, which these heads are trained from; He's would grow from unit to unit.
      add_conv_rows(name, shape, std::sqrt(1 / (3 * static_cast<double>(fan_in))), rows);
    };
    const int64_t c = config_.width(), model_width = shape_.width / (has_readout() ? 2 : 1);
    const std::vector<int64_t> widths = config_.level_widths(model_width);
    for (int64_t i = 0; i < kDptLevels; ++i) {
      const int64_t width = widths[static_cast<size_t>(i)];
      if (has_readout()) add(level_name("readout", i), {model_width, 2 * model_width, 0});
      add(level_name("reassemble", i), {width, model_width, 1});
      // A transposed convolution's weight is [in, out, side, side]; both are as many here.
      if (i < kSame) add(level_name("resize", i), {width, width, kRaised[i]});
      if (i == kCoarsest) add(level_name("resize", i), {width, width, 3});
      add(level_name("lateral", i), {c, width, 3, /*has_bias=*/false});
      for (const char* unit : {".unit1", ".unit2"}) {
        if (i == kCoarsest && unit == std::string_view(".unit1")) continue;  // nothing comes down
        for (const char* conv : {".conv1", ".conv2"})
          add(level_name("fusion", i, unit) + conv, {c, c, 3});
      }
      add(level_name("fusion", i, ".out"), {c, c, 1});
    }
    if (config_.projection) add("projection", {c, c, 3});
    add("head.0", {c / 2, c, 3});
    add("head.1", {config_.last_channels, c / 2, 3});
    add("head.2", {shape_.outputs, config_.last_channels, 1});
    return rows;
  }

  DenseScores forward(const NamedTensors& weights, const std::vector<at::Tensor>& maps_BHWD,
                      const DensePass* /*training*/) const override {
    const DptLayers layers(weights);
    std::vector<at::Tensor> levels;
    for (int64_t i = 0; i < kDptLevels; ++i)
      levels.push_back(level(layers, i, maps_BHWD[static_cast<size_t>(i)]));
    at::Tensor x = fused(layers, levels);
    if (config_.projection) x = at::relu(layers.conv("projection", x));
    x = layers.conv("head.0", x);
    const at::Tensor& patches = maps_BHWD.front();
    x = raised(x, config_.sizes == "pixels"
                      ? std::vector{patches.size(1) * shape_.patch, patches.size(2) * shape_.patch}
                      : std::vector{2 * x.size(2), 2 * x.size(3)});
    x = at::relu(layers.conv("head.1", x));
    return {layers.linear("head.2", x.permute({0, 2, 3, 1})), {}};
  }

 private:
  bool has_readout() const { return config_.readout == "project"; }

  at::Tensor level(const DptLayers& layers, int64_t i, const at::Tensor& map_BHWD) const {
    at::Tensor x = map_BHWD;
    if (has_readout()) x = at::gelu(layers.linear(level_name("readout", i), x));
    x = layers.linear(level_name("reassemble", i), x).permute({0, 3, 1, 2});
    const std::string resize = level_name("resize", i);
    if (i < kSame)
      x = at::conv_transpose2d(x, layers.weight(resize), layers.bias(resize), kRaised[i]);
    if (i == kCoarsest) x = layers.conv(resize, x, /*stride=*/2);
    return layers.conv(level_name("lateral", i), x);
  }

  // From the coarsest level down to the finest, twice as large as that at the end.
  at::Tensor fused(const DptLayers& layers, const std::vector<at::Tensor>& levels) const {
    at::Tensor x = levels.back();
    for (int64_t i = kCoarsest; i >= 0; --i) {
      if (i < kCoarsest) {
        at::Tensor own = levels[static_cast<size_t>(i)];
        if (own.sizes() != x.sizes())
          own = at::upsample_bilinear2d(own, x.sizes().slice(2), /*align_corners=*/false);
        x = x + layers.residual(level_name("fusion", i, ".unit1"), own);
      }
      x = layers.residual(level_name("fusion", i, ".unit2"), x);
      // Before the map is larger: a linear layer at each place and an interpolation commute.
      x = layers.conv(level_name("fusion", i, ".out"), x);
      const bool is_next = config_.sizes == "pixels" && i > 0;
      x = raised(x, is_next ? levels[static_cast<size_t>(i - 1)].sizes().slice(2).vec()
                            : std::vector{2 * x.size(2), 2 * x.size(3)});
    }
    return x;
  }

  DenseHeadConfig config_;
  DenseShape shape_;
};

}  // namespace

std::unique_ptr<DenseHead> make_dpt_head(const DenseHeadConfig& config, const DenseShape& shape) {
  return std::make_unique<DptHead>(config, shape);
}

}  // namespace vit22b
