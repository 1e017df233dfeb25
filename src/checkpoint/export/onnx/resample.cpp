#include <algorithm>
#include <map>

#include "checkpoint/export/onnx/grid.h"
#include "core/error.h"

namespace vit22b {
namespace {

/// How a position table moves to another grid: resize_position_table's methods as numbers.
struct Resampling {
  double cubic = 0;      ///< the cubic filter's parameter; 0: linear
  bool is_wide = false;  ///< filters grow as grids shrink
  bool is_by_corners = false;
  double beyond = 0;       ///< patches that the new side is taken to have more
  bool is_square = false;  ///< of the larger side, cut
};

Resampling resampling_of(const std::string& method) {
  static const std::map<std::string, Resampling> kMethods = {
      {"bicubic_antialias", {.cubic = -0.5, .is_wide = true}},
      {"bicubic", {.cubic = -0.75}},
      {"dinov2", {.cubic = -0.75, .beyond = 0.1}},
      {"bilinear", {}},
      {"bilinear_antialias", {.is_wide = true}},
      {"bilinear_align_corners", {.is_by_corners = true}},
      {"radio", {.is_square = true}}};
  const auto it = kMethods.find(method);
  VIT22B_CHECK(it != kMethods.end(), "ONNX: no resampling '", method, "'");
  return it->second;
}

// Keys' piecewise cubic with the parameter a; its support is 2 on either side.
OnnxValue cubic_filter(const OnnxOps& ops, const OnnxValue& x, double a) {
  const OnnxValue d = ops.of("Abs", x);
  const auto times = [&](const OnnxValue& y) { return ops.mul(y, d); };
  const OnnxValue inner = ops.shifted(times(times(ops.shifted(ops.scaled(d, a + 2), -(a + 3)))), 1);
  const OnnxValue outer =
      ops.shifted(times(ops.shifted(times(ops.shifted(ops.scaled(d, a), -5 * a)), 8 * a)), -4 * a);
  const auto below = [&](double limit) { return ops.of("Less", d, ops.real(limit)); };
  const OnnxValue rest = ops.graph().add("Where", {below(2), outer, ops.real(0)});
  return ops.graph().add("Where", {below(1), inner, rest});
}

OnnxValue linear_filter(const OnnxOps& ops, const OnnxValue& x) {
  return ops.of("Relu", ops.sub(ops.real(1), ops.of("Abs", x)));
}

// The places that lie outside of a side of n: two before and two behind, each the edge's.
at::Tensor folded_edges(int64_t n) {
  at::Tensor fold = at::zeros({n + 4, n}, at::kFloat);
  for (int64_t i = 0; i < n + 4; ++i) fold[i][std::clamp<int64_t>(i - 2, 0, n - 1)] = 1;
  return fold;
}

/// Numbers of a side, from one on, as a row and a half: the middles of its places.
OnnxValue middles(const OnnxOps& ops, const OnnxValue& count, double first) {
  return ops.shifted(ops.indices(count), first + 0.5);
}

/// [out, in]: what a side's places give to its new ones.
class SideWeights {
 public:
  SideWeights(const OnnxOps& ops, const Resampling& how, int64_t in)
      : ops_(ops), how_(how), in_(in) {}

  /// whole  what the new side is taken to be as a whole, one float32
  OnnxValue of(const OnnxValue& out, const OnnxValue& whole) const {
    const OnnxValue scale =
        how_.is_by_corners ? by_corners(whole) : ops_.div(ops_.real(side()), whole);
    const OnnxValue index = ops_.unsqueeze(ops_.indices(out), 1);
    const OnnxValue centre = how_.is_by_corners ? ops_.shifted(ops_.mul(index, scale), 0.5)
                                                : ops_.mul(ops_.shifted(index, 0.5), scale);
    if (how_.is_wide) return wide(centre, ops_.of("Max", scale, ops_.real(1)));
    return how_.cubic != 0 ? cubic(centre) : linear(centre);
  }

 private:
  double side() const { return static_cast<double>(in_); }

  OnnxValue by_corners(const OnnxValue& whole) const {
    return ops_.div(ops_.real(side() - 1), ops_.of("Max", ops_.shifted(whole, -1), ops_.real(1)));
  }

  OnnxValue filter(const OnnxValue& x) const {
    return how_.cubic != 0 ? cubic_filter(ops_, x, how_.cubic) : linear_filter(ops_, x);
  }

  OnnxValue distances(const OnnxValue& centre, int64_t count, double first) const {
    return ops_.sub(middles(ops_, ops_.numbers({count}), first), centre);
  }

  OnnxValue wide(const OnnxValue& centre, const OnnxValue& width) const {
    const OnnxValue weights = filter(ops_.div(distances(centre, in_, 0), width));
    return ops_.div(weights, ops_.graph().add("ReduceSum", {weights, ops_.numbers({1})}));
  }

  OnnxValue cubic(const OnnxValue& centre) const {
    const std::string name = concat("folded_edges/", in_);
    const auto fold = [in = in_] { return folded_edges(in); };
    return ops_.matmul(filter(distances(centre, in_ + 4, -2)),
                       ops_.graph().shared({name, {in_ + 4, in_}, OnnxType::kFloat, fold}));
  }

  OnnxValue linear(const OnnxValue& centre) const {
    const OnnxValue inside =
        ops_.graph().add("Clip", {centre, ops_.real(0.5), ops_.real(side() - 0.5)});
    return filter(distances(inside, in_, 0));
  }

  const OnnxOps& ops_;
  const Resampling& how_;
  int64_t in_;
};

/// What the sides of a new grid are taken to be, float32; the model's own grid is itself.
OnnxGrid whole_sides(const OnnxOps& ops, const Resampling& how, const OnnxGrid& grid, int64_t rows,
                     int64_t columns) {
  const OnnxValue height = ops.as_float(grid.height), width = ops.as_float(grid.width);
  if (!how.is_square && how.beyond == 0) return {height, width};
  const auto is = [&](const OnnxValue& side, int64_t own) {
    return ops.of("Equal", side, ops.numbers({own}));
  };
  const OnnxValue is_own = ops.of("And", is(grid.height, rows), is(grid.width, columns));
  const OnnxValue larger = ops.of("Max", height, width);
  const auto taken = [&](const OnnxValue& side) {
    return ops.graph().add("Where",
                           {is_own, side, how.is_square ? larger : ops.shifted(side, how.beyond)});
  };
  return {taken(height), taken(width)};
}

}  // namespace

OnnxValue onnx_linear_weights(const OnnxOps& ops, const OnnxValue& out, const OnnxValue& in,
                              const OnnxValue& scale) {
  const OnnxValue centre = ops.mul(ops.unsqueeze(middles(ops, out, 0), 1), scale);
  const OnnxValue last = ops.shifted(ops.as_float(in), -0.5);
  const OnnxValue inside = ops.of("Min", ops.of("Max", centre, ops.real(0.5)), last);
  return linear_filter(ops, ops.sub(middles(ops, in, 0), inside));
}

OnnxValue onnx_positions(const OnnxOps& ops, OnnxWeights& weights, const ViTConfig& c,
                         const OnnxGrid& grid) {
  const Resampling how = resampling_of(c.tokens.posemb_resize);
  const int64_t rows = c.grid_height(), columns = c.grid_width(), width = c.embed_dim;
  const OnnxGrid whole = whole_sides(ops, how, grid, rows, columns);
  const int64_t prefix = c.position_rows() - rows * columns;
  const OnnxValue table = weights.elements("pos_embed", prefix * width, {rows, columns * width},
                                           prefix > 0 ? ".patches" : "");
  const OnnxValue down =
      ops.matmul(SideWeights(ops, how, rows).of(grid.height, whole.height), table);
  const OnnxValue both = ops.matmul(SideWeights(ops, how, columns).of(grid.width, whole.width),
                                    ops.reshape(down, {0, columns, width}));
  return ops.reshape(both, {1, -1, width});
}

}  // namespace vit22b
