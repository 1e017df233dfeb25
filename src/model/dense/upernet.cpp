#include "core/text.h"
#include "model/dense/head_parts.h"

namespace vit22b {
namespace {

constexpr double kScales[] = {4, 2, 1, 0.5};  // of the neck's levels, in patches
constexpr int64_t kLevels = 4;
constexpr int64_t kPoolSides[] = {1, 2, 3, 6};
constexpr int64_t kAuxLevel = 2;
constexpr double kClassifierDeviation = 0.01;  // mmsegmentation's decode_head.py

at::Tensor resized(const at::Tensor& x, at::IntArrayRef size) {
  return at::upsample_bilinear2d(x, size, /*align_corners=*/false);
}

/// Channels first over the same memory.
at::Tensor channels_first(const at::Tensor& x_BHWC) {
  return x_BHWC.permute({0, 3, 1, 2});
}
at::Tensor channels_last(const at::Tensor& x_BCHW) {
  return x_BCHW.permute({0, 2, 3, 1});
}

std::string numbered(const char* name, int64_t index) {
  return concat(name, ".", index);
}

/// A pass through the layers of a head.
class UperNetLayers {
 public:
  UperNetLayers(const NamedTensors& weights, const DensePass* training)
      : weights_(weights),
        norm_(weights, training != nullptr, training != nullptr ? training->mesh : single_process(),
              training != nullptr ? training->statistics : unused_) {}

  /// A convolution of its own size.
  at::Tensor conv(const std::string& name, const at::Tensor& x) const {
    const at::Tensor& weight = weights_.at(name + ".weight");
    const auto bias = weights_.find(name + ".bias");
    return at::conv2d(x, weight, bias == weights_.end() ? at::Tensor() : bias->second,
                      /*stride=*/1, /*padding=*/weight.size(2) / 2);
  }
  /// A convolution without bias, batch norm and ReLU.
  at::Tensor block(const std::string& name, const at::Tensor& x) const {
    return at::relu(norm_(name + ".bn", conv(name + ".conv", x)));
  }

 private:
  const NamedTensors& weights_;
  NamedTensors unused_;
  BatchNorm norm_;
};

void add_block_rows(const std::string& name, int64_t out, int64_t in, int64_t kernel,
                    std::vector<ParameterRow>& rows) {
  add_conv_rows(name + ".conv", {out, in, kernel, /*has_bias=*/false}, 0, rows);
  add_norm_rows(name + ".bn", out, rows);
}

/// UperNet (Xiao et al. 2018) over the one scale of a plain vision transformer: a neck that makes
/// four scales of four blocks' outputs, a pyramid pool over the coarsest, a feature pyramid, and
/// for training an auxiliary head on the third level.
///
/// source  mmsegmentation necks/multilevel_neck.py, decode_heads/uper_head.py and fcn_head.py;
///         transformers models/upernet
class UperNet : public DenseHead {
 public:
  UperNet(const DenseHeadConfig& config, const DenseShape& shape)
      : config_(config), shape_(shape) {}

  std::vector<ParameterRow> rows() const override {
    std::vector<ParameterRow> rows;
    const int64_t c = config_.width(), neck = neck_width();
    for (int64_t i = 0; i < kLevels; ++i) {
      add_conv_rows(numbered("neck.lateral", i), {neck, shape_.width, 1}, 0, rows);
      add_conv_rows(numbered("neck.conv", i), {neck, neck, 3}, 0, rows);
    }
    for (int64_t i = 0; i < std::ssize(kPoolSides); ++i)
      add_block_rows(numbered("psp", i), c, neck, 1, rows);
    add_block_rows("bottleneck", c, neck + std::ssize(kPoolSides) * c, 3, rows);
    for (int64_t i = 0; i < kLevels - 1; ++i) {
      add_block_rows(numbered("lateral", i), c, neck, 1, rows);
      add_block_rows(numbered("fpn", i), c, c, 3, rows);
    }
    add_block_rows("fpn_bottleneck", c, kLevels * c, 3, rows);
    add_conv_rows("head", {shape_.outputs, c, 1}, kClassifierDeviation, rows);
    if (config_.aux_channels == 0) return rows;
    add_block_rows("aux.0", config_.aux_channels, neck, 3, rows);
    add_conv_rows("aux.head", {shape_.outputs, config_.aux_channels, 1}, kClassifierDeviation,
                  rows);
    return rows;
  }

  DenseScores forward(const NamedTensors& weights, const std::vector<at::Tensor>& maps_BHWD,
                      const DensePass* training) const override {
    const UperNetLayers layers(weights, training);
    const std::vector<at::Tensor> levels = neck(layers, maps_BHWD);
    DenseScores scores{classified(layers, "head", pyramid(layers, levels), training), {}};
    if (training != nullptr && config_.aux_channels > 0)
      scores.aux_BHWC =
          classified(layers, "aux.head", layers.block("aux.0", levels[kAuxLevel]), training);
    return scores;
  }

  bool is_of_one_picture() const override { return false; }

 private:
  /// As wide as the model, as mmsegmentation has it for plain ViTs, unless the head is narrower.
  int64_t neck_width() const { return std::min(shape_.width, 2 * config_.width()); }

  static std::vector<at::Tensor> neck(const UperNetLayers& layers,
                                      const std::vector<at::Tensor>& maps_BHWD) {
    std::vector<at::Tensor> levels;
    for (int64_t i = 0; i < kLevels; ++i) {
      const auto level = static_cast<size_t>(i);
      at::Tensor x = layers.conv(numbered("neck.lateral", i), channels_first(maps_BHWD[level]));
      const double scale = kScales[level];
      const auto side = [&](int64_t n) {
        return std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(n) * scale));
      };
      if (scale != 1)
        x = at::upsample_bilinear2d(x, {side(x.size(2)), side(x.size(3))},
                                    /*align_corners=*/false, scale, scale);
      levels.push_back(layers.conv(numbered("neck.conv", i), x));
    }
    return levels;
  }

  static at::Tensor pooled(const UperNetLayers& layers, const at::Tensor& top) {
    std::vector<at::Tensor> all = {top};
    for (int64_t i = 0; i < std::ssize(kPoolSides); ++i) {
      const int64_t side = kPoolSides[static_cast<size_t>(i)];
      const at::Tensor pool =
          layers.block(numbered("psp", i), at::adaptive_avg_pool2d(top, {side, side}));
      all.push_back(resized(pool, top.sizes().slice(2)));
    }
    return layers.block("bottleneck", at::cat(all, 1));
  }

  static at::Tensor pyramid(const UperNetLayers& layers, const std::vector<at::Tensor>& levels) {
    constexpr size_t kTop = kLevels - 1;
    std::vector<at::Tensor> lateral(kLevels);
    for (size_t i = 0; i < kTop; ++i)
      lateral[i] = layers.block(numbered("lateral", static_cast<int64_t>(i)), levels[i]);
    lateral[kTop] = pooled(layers, levels[kTop]);
    for (size_t i = kTop; i > 0; --i)
      lateral[i - 1] = lateral[i - 1] + resized(lateral[i], lateral[i - 1].sizes().slice(2));
    for (size_t i = 0; i < kTop; ++i)
      lateral[i] = layers.block(numbered("fpn", static_cast<int64_t>(i)), lateral[i]);
    for (size_t i = 1; i < kLevels; ++i)
      lateral[i] = resized(lateral[i], lateral[0].sizes().slice(2));
    return layers.block("fpn_bottleneck", at::cat(lateral, 1));
  }

  at::Tensor classified(const UperNetLayers& layers, const char* name, const at::Tensor& x_BCHW,
                        const DensePass* training) const {
    const at::Tensor x = drop_channels(channels_last(x_BCHW), config_.dropout, training);
    return channels_last(layers.conv(name, channels_first(x)));
  }

  DenseHeadConfig config_;
  DenseShape shape_;
};

}  // namespace

std::unique_ptr<DenseHead> make_upernet(const DenseHeadConfig& config, const DenseShape& shape) {
  return std::make_unique<UperNet>(config, shape);
}

}  // namespace vit22b
