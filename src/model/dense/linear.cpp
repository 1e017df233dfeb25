#include "model/dense/head_parts.h"

namespace vit22b {
namespace {

/// The maps side by side, and a linear layer at each patch; with a batch norm before it as DINOv2
/// and DINOv3 have it, without one as Segmenter's linear decoder.
///
/// source  rstrudel/segmenter segm/model/decoder.py DecoderLinear; mmsegmentation's BNHead of
///         facebookresearch/dinov2
class LinearHead : public DenseHead {
 public:
  LinearHead(const DenseHeadConfig& config, const DenseShape& shape, bool has_norm)
      : config_(config), shape_(shape), has_norm_(has_norm) {}

  std::vector<ParameterRow> rows() const override {
    constexpr double kSegmenterDeviation = 0.02, kDinoDeviation = 0.01;
    std::vector<ParameterRow> rows;
    const int64_t width = shape_.num_maps * shape_.width;
    if (has_norm_) add_norm_rows("bn", width, rows);
    add_conv_rows("head", {shape_.outputs, width, /*kernel=*/0},
                  has_norm_ ? kDinoDeviation : kSegmenterDeviation, rows);
    return rows;
  }

  DenseScores forward(const NamedTensors& weights, const std::vector<at::Tensor>& maps_BHWD,
                      const DensePass* training) const override {
    at::Tensor x = maps_BHWD.size() == 1 ? maps_BHWD.front() : at::cat(maps_BHWD, 3);
    if (has_norm_) {
      NamedTensors unused;
      const BatchNorm norm(weights, training != nullptr,
                           training != nullptr ? training->mesh : single_process(),
                           training != nullptr ? training->statistics : unused);
      x = norm("bn", x.flatten(0, 2)).view(x.sizes());
    }
    x = drop_channels(x, config_.dropout, training);
    return {at::linear(x, weights.at("head.weight"), weights.at("head.bias")), {}};
  }

  bool is_of_one_picture() const override { return !has_norm_; }

 private:
  DenseHeadConfig config_;
  DenseShape shape_;
  bool has_norm_;
};

}  // namespace

std::unique_ptr<DenseHead> make_linear_head(const DenseHeadConfig& config,
                                            const DenseShape& shape) {
  return std::make_unique<LinearHead>(config, shape, /*has_norm=*/false);
}

std::unique_ptr<DenseHead> make_bn_linear_head(const DenseHeadConfig& config,
                                               const DenseShape& shape) {
  return std::make_unique<LinearHead>(config, shape, /*has_norm=*/true);
}

}  // namespace vit22b
