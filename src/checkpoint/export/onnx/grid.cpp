#include "checkpoint/export/onnx/grid.h"

#include "model/sequence.h"

namespace vit22b {
namespace {

constexpr double kFullTurn = 6.283185307179586;

/// A small tensor of the graph's own.
OnnxValue own_table(const OnnxOps& ops, const std::string& name, const at::Tensor& values) {
  return ops.graph().tensor(
      {name, values.sizes().vec(), OnnxType::kFloat, [values] { return values.contiguous(); }});
}

/// Two sides' values [h, N] and [w, N] for each patch, side by side: [patches, 2 N].
OnnxValue for_patches(const OnnxOps& ops, const OnnxGrid& grid, const OnnxValue& first,
                      const OnnxValue& second, bool is_first_of_rows) {
  const OnnxValue one = ops.numbers({1});
  const auto of_rows = [&](const OnnxValue& x) {
    return ops.expand(ops.unsqueeze(x, 1), {one, grid.width, one});
  };
  const auto of_columns = [&](const OnnxValue& x) {
    return ops.expand(ops.unsqueeze(x, 0), {grid.height, one, one});
  };
  const OnnxValue both = is_first_of_rows ? ops.concat({of_rows(first), of_columns(second)}, 2)
                                          : ops.concat({of_columns(first), of_rows(second)}, 2);
  const OnnxValue patches = ops.mul(grid.height, grid.width);
  return ops.of("Reshape", both, ops.concat({patches, ops.numbers({-1})}, 0));
}

// Places along one side, as model/sequence.cpp has them: [count].
OnnxValue rotary_places(const OnnxOps& ops, const RotaryConfig& c, const OnnxValue& count,
                        int64_t reference) {
  const OnnxValue index = ops.indices(count), size = ops.as_float(count);
  if (c.rope == "centre")
    return ops.shifted(ops.scaled(ops.div(ops.shifted(index, 0.5), size), 2), -1);
  const OnnxValue place = c.rope_offset == 0 ? index : ops.shifted(index, c.rope_offset);
  return reference > 0 ? ops.scaled(ops.div(place, size), static_cast<double>(reference)) : place;
}

}  // namespace

OnnxGrid onnx_grid(const OnnxOps& ops, const ViTConfig& config, const OnnxValue& images_BCHW) {
  // Rounded up, the places of a side that is no multiple are more than the convolution's, and a
  // reshape fails; rounded down they are as many, and the edge is left out.
  const int64_t patch = config.patch_size, beyond = config.tokens.drop_edge ? 0 : patch - 1;
  const auto patches = [&](int64_t dim) {
    const OnnxValue pixels = ops.size(images_BCHW, dim);
    return ops.of("Div", beyond == 0 ? pixels : ops.add(pixels, ops.numbers({beyond})),
                  ops.numbers({patch}));
  };
  return {patches(2), patches(3)};
}

OnnxRotary onnx_rotary(const OnnxOps& ops, const ViTConfig& config, const OnnxGrid& grid) {
  const RotaryConfig& c = config.rotary;
  if (c.rope == "none") return {};
  const int64_t count = config.head_dim() / 4;
  const OnnxValue periods = own_table(
      ops, "rotary_periods", rotary_periods(c, count) / (c.rope == "centre" ? kFullTurn : 1));
  const auto angles = [&](const OnnxValue& side, int64_t reference) {
    return ops.div(ops.unsqueeze(rotary_places(ops, c, side, reference), 1), periods);
  };
  const OnnxValue y = angles(grid.height, c.rope_ref.height),
                  x = angles(grid.width, c.rope_ref.width);
  OnnxValue tokens = c.rope_xy ? for_patches(ops, grid, x, y, /*is_first_of_rows=*/false)
                               : for_patches(ops, grid, y, x, /*is_first_of_rows=*/true);
  if (const int64_t prefix = config.num_prefix_tokens(); prefix > 0)
    tokens = ops.concat(
        {own_table(ops, "rotary_prefix", at::zeros({prefix, 2 * count}, at::kFloat)), tokens}, 0);
  const OnnxValue cos = ops.of("Cos", tokens), sin = ops.of("Sin", tokens),
                  minus = ops.of("Neg", sin);
  const auto paired = [&](const OnnxValue& a, const OnnxValue& b) {
    if (c.rope_half) return ops.concat({a, b}, 1);
    return ops.reshape(ops.concat({ops.unsqueeze(a, 2), ops.unsqueeze(b, 2)}, 2), {0, -1});
  };
  return {paired(cos, cos), paired(minus, sin), c.rope_half};
}

OnnxValue onnx_rotate(const OnnxOps& ops, const OnnxValue& x_BHTK, const OnnxRotary& rotary,
                      int64_t head_size) {
  if (!rotary.exists()) return x_BHTK;
  const int64_t half = head_size / 2;
  OnnxValue partners;
  if (rotary.is_half) {
    const std::vector<OnnxValue> halves = ops.split(x_BHTK, {half, half}, 3);
    partners = ops.concat({halves[1], halves[0]}, 3);
  } else {
    std::vector<int64_t> swapped(static_cast<size_t>(head_size));
    for (size_t i = 0; i < swapped.size(); ++i) swapped[i] = static_cast<int64_t>(i ^ 1U);
    partners = ops.graph().add("Gather", {x_BHTK, ops.numbers(swapped)}, {{"axis", 3}});
  }
  return ops.add(ops.mul(x_BHTK, rotary.cos_TK), ops.mul(partners, rotary.sin_TK));
}

OnnxValue onnx_sincos(const OnnxOps& ops, const OnnxGrid& grid, int64_t width) {
  const int64_t count = width / 4;
  const at::Tensor frequencies = at::pow(10'000.0, at::arange(count, at::kDouble) / -count);
  const OnnxValue rates = own_table(ops, "sincos_frequencies", frequencies.to(at::kFloat));
  const auto waves = [&](const OnnxValue& side) {
    const OnnxValue angles = ops.mul(ops.unsqueeze(ops.indices(side), 1), rates);
    return ops.concat({ops.of("Sin", angles), ops.of("Cos", angles)}, 1);
  };
  // Columns before rows.
  return ops.unsqueeze(for_patches(ops, grid, waves(grid.width), waves(grid.height), false), 0);
}

}  // namespace vit22b
