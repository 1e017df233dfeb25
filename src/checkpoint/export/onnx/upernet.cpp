#include "checkpoint/export/onnx/dense.h"
#include "core/text.h"

namespace vit22b {
namespace {

constexpr int64_t kNumLevels = 4, kSides[] = {1, 2, 3, 6};  // as model/dense/upernet.cpp

std::string at_level(const char* name, size_t level) {
  return concat(name, ".", level);
}

OnnxValue conv_block(const OnnxLayers& l, const std::string& name, const OnnxValue& x) {
  return l.ops().of("Relu", onnx_batch_norm(l, name + ".bn", onnx_conv(l, name + ".conv", x)));
}

/// Sides of maps [B, C, h, w], lists of one number.
OnnxGrid sides_of(const OnnxOps& ops, const OnnxValue& x_BCHW) {
  return {ops.size(x_BCHW, 2), ops.size(x_BCHW, 3)};
}

/// Weights of each row and of each column of maps, applied.
OnnxValue weighted(const OnnxOps& ops, const OnnxValue& x_BCHW, const OnnxValue& rows,
                   const OnnxValue& columns) {
  return ops.matmul(ops.matmul(rows, x_BCHW), ops.transpose(columns, {1, 0}));
}

OnnxValue resized_to(const OnnxOps& ops, const OnnxValue& x_BCHW, const OnnxGrid& to) {
  const OnnxGrid from = sides_of(ops, x_BCHW);
  const auto side = [&](const OnnxValue& out, const OnnxValue& in) {
    return onnx_linear_weights(ops, out, in, ops.div(ops.as_float(in), ops.as_float(out)));
  };
  return weighted(ops, x_BCHW, side(to.height, from.height), side(to.width, from.width));
}

/// Enlarged by a factor, or halved where that is 0.
OnnxValue rescaled(const OnnxOps& ops, const OnnxValue& x_BCHW, int64_t factor) {
  const OnnxGrid from = sides_of(ops, x_BCHW);
  const auto side = [&](const OnnxValue& in) {
    const OnnxValue half = ops.of("Max", ops.of("Div", in, ops.numbers({2})), ops.numbers({1}));
    const OnnxValue out = factor > 0 ? ops.mul(in, ops.numbers({factor})) : half;
    return onnx_linear_weights(ops, out, in,
                               ops.real(factor > 0 ? 1 / static_cast<double>(factor) : 2));
  };
  return weighted(ops, x_BCHW, side(from.height), side(from.width));
}

/// What each place of a side gives to the means of `parts` parts of it, which may overlap by one:
/// adaptive_avg_pool2d's.
OnnxValue mean_weights(const OnnxOps& ops, const OnnxValue& in, int64_t parts) {
  const OnnxValue size = ops.as_float(in), count = ops.real(static_cast<double>(parts));
  const OnnxValue index = ops.unsqueeze(ops.indices(ops.numbers({parts})), 1);
  const OnnxValue first = ops.of("Floor", ops.div(ops.mul(index, size), count)),
                  end = ops.of("Ceil", ops.div(ops.mul(ops.shifted(index, 1), size), count));
  const OnnxValue places = ops.indices(in);
  const OnnxValue is_part =
      ops.of("And", ops.of("GreaterOrEqual", places, first), ops.of("Less", places, end));
  return ops.div(ops.as_float(is_part), ops.sub(end, first));
}

OnnxValue pyramid_pool(const OnnxLayers& l, const OnnxValue& top) {
  const OnnxOps& ops = l.ops();
  const OnnxGrid sides = sides_of(ops, top);
  std::vector<OnnxValue> all = {top};
  for (size_t i = 0; i < std::size(kSides); ++i) {
    const OnnxValue means = weighted(ops, top, mean_weights(ops, sides.height, kSides[i]),
                                     mean_weights(ops, sides.width, kSides[i]));
    all.push_back(resized_to(ops, conv_block(l, at_level("psp", i), means), sides));
  }
  return conv_block(l, "bottleneck", ops.concat(all, 1));
}

std::vector<OnnxValue> neck_levels(const OnnxLayers& l, const std::vector<OnnxValue>& maps_BDHW) {
  constexpr int64_t kFactors[] = {4, 2, 1, 0};
  std::vector<OnnxValue> levels;
  for (size_t i = 0; i < kNumLevels; ++i) {
    OnnxValue x = onnx_conv(l, at_level("neck.lateral", i), maps_BDHW.at(i));
    if (kFactors[i] != 1) x = rescaled(l.ops(), x, kFactors[i]);
    levels.push_back(onnx_conv(l, at_level("neck.conv", i), x));
  }
  return levels;
}

}  // namespace

OnnxValue onnx_upernet(const OnnxLayers& l, const std::vector<OnnxValue>& maps_BDHW) {
  constexpr size_t kTop = kNumLevels - 1;
  const OnnxOps& ops = l.ops();
  const std::vector<OnnxValue> levels = neck_levels(l, maps_BDHW);
  std::vector<OnnxValue> lateral(kNumLevels);
  for (size_t i = 0; i < kTop; ++i) lateral[i] = conv_block(l, at_level("lateral", i), levels[i]);
  lateral[kTop] = pyramid_pool(l, levels[kTop]);
  const auto beside = [&](size_t from, size_t to) {
    return resized_to(ops, lateral[from], sides_of(ops, lateral[to]));
  };
  for (size_t i = kTop; i > 0; --i) lateral[i - 1] = ops.add(lateral[i - 1], beside(i, i - 1));
  for (size_t i = 0; i < kTop; ++i) lateral[i] = conv_block(l, at_level("fpn", i), lateral[i]);
  for (size_t i = 1; i < kNumLevels; ++i) lateral[i] = beside(i, 0);
  return onnx_conv(l, "head", conv_block(l, "fpn_bottleneck", ops.concat(lateral, 1)));
}

}  // namespace vit22b
