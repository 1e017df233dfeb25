#include "kernels/cpu/rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rows.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vit22b::cpu::HWY_NAMESPACE {

struct GeluParts {
  V value, slope;
};

// tanh form: x s(2z) with z = sqrt(2/pi) (x + 0.044715 x^3), since (1 + tanh z) / 2 = s(2z).
template <bool kSlope>
HWY_INLINE GeluParts gelu_tanh(V x) {
  const V square = hn::Mul(x, x);
  const V two_z = hn::Mul(x, hn::MulAdd(square, constant(2 * 0.79788456080286536 * 0.044715),
                                        constant(2 * 0.79788456080286536)));
  const V e = exponential(hn::Min(hn::Neg(two_z), constant(80)));
  const V s = reciprocal(hn::Add(constant(1), e));
  GeluParts g{hn::Mul(x, s), s};
  if (kSlope) {
    const V two_z_slope = hn::MulAdd(square, constant(6 * 0.79788456080286536 * 0.044715),
                                     constant(2 * 0.79788456080286536));
    // s'(2z) = s (1 - s), and 1 - s = e s without cancellation.
    g.slope = hn::MulAdd(g.value, hn::Mul(hn::Mul(e, s), two_z_slope), s);
  }
  return g;
}

// erf form, by Abramowitz and Stegun 7.1.26: |error| <= 1.5e-7.
template <bool kSlope>
HWY_INLINE GeluParts gelu_erf(V x) {
  const V a = hn::Mul(hn::Abs(x), constant(0.70710678118654752));
  const V t = reciprocal(hn::MulAdd(a, constant(0.3275911), constant(1)));
  const V density = exponential(hn::Neg(hn::Mul(a, a)));
  V p = constant(1.061405429);
  p = hn::MulAdd(p, t, constant(-1.453152027));
  p = hn::MulAdd(p, t, constant(1.421413741));
  p = hn::MulAdd(p, t, constant(-0.284496736));
  p = hn::MulAdd(p, t, constant(0.254829592));
  const V half_tail = hn::Mul(constant(0.5), hn::Mul(hn::Mul(p, t), density));
  const V phi =
      hn::IfThenElse(hn::Lt(x, hn::Zero(Float())), half_tail, hn::Sub(constant(1), half_tail));
  GeluParts g{hn::Mul(x, phi), phi};
  if (kSlope) g.slope = hn::MulAdd(hn::Mul(x, constant(0.39894228040143268)), density, phi);
  return g;
}

// x s(a x), whose slope is s + a x s (1 - s); 1 - s = e s without cancellation.
template <bool kSlope>
HWY_INLINE GeluParts logistic(V x, float a) {
  const V ax = hn::Mul(x, constant(a));
  const V e = exponential(hn::Min(hn::Neg(ax), constant(80)));
  const V s = reciprocal(hn::Add(constant(1), e));
  GeluParts g{hn::Mul(x, s), s};
  if (kSlope) g.slope = hn::MulAdd(hn::Mul(ax, s), hn::Mul(e, s), s);
  return g;
}

template <bool kSlope>
HWY_INLINE GeluParts gelu(V x, Activation form) {
  if (form == Activation::kGeluTanh) return gelu_tanh<kSlope>(x);
  if (form == Activation::kGelu) return gelu_erf<kSlope>(x);
  return logistic<kSlope>(x, logistic_slope(form));
}

// Calls f(row, column, columns left) for each vector of a tile.
template <class F>
HWY_INLINE void each_vector(const Tile& t, const F& f) {
  for (int64_t i = 0; i < t.rows; ++i)
    for (int64_t j = 0; j < t.columns; j += lanes()) f(i, j, t.columns - j);
}

// tile + bias, where there is one.
HWY_INLINE V biased(const Tile& t, const float* bias, int64_t i, int64_t j) {
  const int64_t n = t.columns - j;
  const V v = load(t.data + i * t.stride + j, n);
  return bias != nullptr ? hn::Add(v, load(bias + j, n)) : v;
}

void load_rows_impl(const Rows& from, const Tile& to) {
  typed(from, [&](const auto* in) {
    each_vector(to, [&](int64_t i, int64_t j, int64_t n) {
      store(load(in + i * from.stride + j, n), to.data + i * to.stride + j, n);
    });
  });
}

void scale_copy_impl(const Rows& from, int64_t rows, int64_t columns, float factor,
                     const Rows& to) {
  const V scale = hn::Set(Float(), factor);
  typed(from, [&](const auto* in) {
    typed_out(to, [&](auto* out) {
      each_vector({nullptr, 0, rows, columns}, [&](int64_t i, int64_t j, int64_t n) {
        store(hn::Mul(load(in + i * from.stride + j, n), scale), out + i * to.stride + j, n);
      });
    });
  });
}

HWY_INLINE void rotate_halves(float* row, const float* cos, const float* sin, int64_t half,
                              V direction) {
  for (int64_t j = 0; j < half; j += lanes()) {
    const int64_t n = half - j;
    const V a = load(row + j, n), b = load(row + half + j, n), c = load(cos + j, n),
            s = hn::Mul(direction, load(sin + j, n));
    store(hn::NegMulAdd(b, s, hn::Mul(a, c)), row + j, n);
    store(hn::MulAdd(a, s, hn::Mul(b, c)), row + half + j, n);
  }
}

HWY_INLINE void rotate_pairs(float* row, const float* cos, const float* sin, int64_t columns,
                             V direction) {
#if HWY_TARGET == HWY_SCALAR
  const float sign = hn::GetLane(direction);
  for (int64_t j = 0; j < columns; j += 2) {
    const float a = row[j], b = row[j + 1], s = sign * sin[j];
    row[j] = a * cos[j] - b * s;
    row[j + 1] = b * cos[j] + a * s;
  }
#else
  const Float d;
  for (int64_t j = 0; j < columns; j += lanes()) {
    const int64_t n = columns - j;
    const V x = load(row + j, n), s = hn::Mul(direction, load(sin + j, n));
    const V signed_s = hn::OddEven(s, hn::Neg(s));
    store(hn::MulAdd(hn::Reverse2(d, x), signed_s, hn::Mul(x, load(cos + j, n))), row + j, n);
  }
#endif
}

void rotate_rows_impl(const Tile& t, const float* cos, const float* sin, bool is_half,
                      float direction) {
  const V sign = hn::Set(Float(), direction);
  for (int64_t i = 0; i < t.rows; ++i, cos += t.columns, sin += t.columns) {
    float* row = t.data + i * t.stride;
    is_half ? rotate_halves(row, cos, sin, t.columns / 2, sign)
            : rotate_pairs(row, cos, sin, t.columns, sign);
  }
}

void bias_store_impl(const Tile& t, const float* bias, const Rows& to) {
  typed_out(to, [&](auto* out) {
    each_vector(t, [&](int64_t i, int64_t j, int64_t n) {
      const V v = biased(t, bias, i, j);
      store(v, out + i * to.stride + j, n);
    });
  });
}

void bias_activation_impl(const Tile& t, const float* bias, Activation form, const Rows& pre,
                          const Rows& activation) {
  typed_out(activation, [&](auto* out) {
    using T = std::remove_pointer_t<decltype(out)>;
    auto* kept = static_cast<T*>(pre.data);
    each_vector(t, [&](int64_t i, int64_t j, int64_t n) {
      const V x = biased(t, bias, i, j);
      if (kept != nullptr) store(x, kept + i * pre.stride + j, n);
      store(gelu<false>(x, form).value, out + i * activation.stride + j, n);
    });
  });
}

void activation_backward_impl(const Tile& t, const Rows& pre, Activation form,
                              const Rows& activation, const Rows& to, float* column_sums) {
  typed_out(activation, [&](auto* recomputed) {
    using T = std::remove_pointer_t<decltype(recomputed)>;
    const auto* kept = static_cast<const T*>(pre.data);
    typed_out(to, [&](auto* out) {
      each_vector(t, [&](int64_t i, int64_t j, int64_t n) {
        const GeluParts g = gelu<true>(load(kept + i * pre.stride + j, n), form);
        const V product = hn::Mul(load(t.data + i * t.stride + j, n), g.slope);
        store(product, out + i * to.stride + j, n);
        store(g.value, recomputed + i * activation.stride + j, n);
        if (column_sums != nullptr)
          store(hn::Add(load(column_sums + j, n), product), column_sums + j, n);
      });
    });
  });
}

void gated_activation_impl(const Tile& t, const float* bias, const Rows& gates, Activation form,
                           const Rows& pre, const Rows& hidden) {
  typed_out(hidden, [&](auto* out) {
    using T = std::remove_pointer_t<decltype(out)>;
    auto* kept = static_cast<T*>(pre.data);
    const auto* gate = static_cast<const T*>(gates.data);
    each_vector(t, [&](int64_t i, int64_t j, int64_t n) {
      const V x = biased(t, bias, i, j);
      if (kept != nullptr) store(x, kept + i * pre.stride + j, n);
      const V factor = gelu<false>(load(gate + i * gates.stride + j, n), form).value;
      store(hn::Mul(x, factor), out + i * hidden.stride + j, n);
    });
  });
}

void gated_backward_impl(const Tile& t, const Rows& pre, const Rows& gates, Activation form,
                         const GatedGradients& to) {
  const auto add = [](float* sums, int64_t j, int64_t n, V values) {
    if (sums != nullptr) store(hn::Add(load(sums + j, n), values), sums + j, n);
  };
  typed_out(pre, [&](auto* hidden) {
    using T = std::remove_pointer_t<decltype(hidden)>;
    const auto* gate = static_cast<const T*>(gates.data);
    typed_out(to.pre, [&](auto* d_pre) {
      auto* d_gate = static_cast<std::remove_pointer_t<decltype(d_pre)>*>(to.gates.data);
      each_vector(t, [&](int64_t i, int64_t j, int64_t n) {
        const V d = load(t.data + i * t.stride + j, n), x = load(hidden + i * pre.stride + j, n);
        const GeluParts g = gelu<true>(load(gate + i * gates.stride + j, n), form);
        const V of_pre = hn::Mul(d, g.value), of_gate = hn::Mul(hn::Mul(d, x), g.slope);
        store(of_pre, d_pre + i * to.pre.stride + j, n);
        store(of_gate, d_gate + i * to.gates.stride + j, n);
        store(hn::Mul(x, g.value), hidden + i * pre.stride + j, n);
        add(to.pre_sums, j, n, of_pre);
        add(to.gate_sums, j, n, of_gate);
      });
    });
  });
}

void bias_scale_residual_impl(const Tile& t, const float* bias, const float* scale,
                              const Rows& residual, const Rows& branch, const Rows& to) {
  typed_out(to, [&](auto* out) {
    using T = std::remove_pointer_t<decltype(out)>;
    const auto* base = static_cast<const T*>(residual.data);
    typed_out(branch, [&](auto* kept) {
      each_vector(t, [&](int64_t i, int64_t j, int64_t n) {
        const V v = biased(t, bias, i, j);
        if (kept != nullptr) store(v, kept + i * branch.stride + j, n);
        const V r = load(base + i * residual.stride + j, n);
        store(scale != nullptr ? hn::MulAdd(v, load(scale + j, n), r) : hn::Add(v, r),
              out + i * to.stride + j, n);
      });
    });
  });
}

void add_column_sums_impl(const Rows& from, int64_t rows, int64_t columns, float* sums) {
  typed(from, [&](const auto* in) {
    each_vector({nullptr, 0, rows, columns}, [&](int64_t i, int64_t j, int64_t n) {
      store(hn::Add(load(sums + j, n), load(in + i * from.stride + j, n)), sums + j, n);
    });
  });
}

void scale_backward_impl(const Tile& t, const float* scale, const Rows& other, float* sums) {
  typed(other, [&](const auto* branch) {
    each_vector(t, [&](int64_t i, int64_t j, int64_t n) {
      float* p = t.data + i * t.stride + j;
      const V g = load(p, n);
      store(hn::MulAdd(g, load(branch + i * other.stride + j, n), load(sums + j, n)), sums + j, n);
      store(hn::Mul(g, load(scale + j, n)), p, n);
    });
  });
}

}  // namespace vit22b::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace vit22b::cpu {
namespace {
HWY_EXPORT(load_rows_impl);
HWY_EXPORT(scale_copy_impl);
HWY_EXPORT(rotate_rows_impl);
HWY_EXPORT(bias_store_impl);
HWY_EXPORT(bias_activation_impl);
HWY_EXPORT(activation_backward_impl);
HWY_EXPORT(gated_activation_impl);
HWY_EXPORT(gated_backward_impl);
HWY_EXPORT(bias_scale_residual_impl);
HWY_EXPORT(add_column_sums_impl);
HWY_EXPORT(scale_backward_impl);
}  // namespace

void load_rows(const Rows& from, const Tile& to) {
  HWY_DYNAMIC_DISPATCH(load_rows_impl)(from, to);
}

void rotate_rows(const Tile& tile, const float* cos, const float* sin, bool is_half,
                 float direction) {
  HWY_DYNAMIC_DISPATCH(rotate_rows_impl)(tile, cos, sin, is_half, direction);
}

void store_rows(const Tile& from, const Rows& to) {
  bias_store(from, nullptr, to);
}

void bias_store(const Tile& tile, const float* bias, const Rows& out) {
  HWY_DYNAMIC_DISPATCH(bias_store_impl)(tile, bias, out);
}

void bias_activation(const Tile& tile, const float* bias, Activation form,
                     const Rows& pre_activation, const Rows& activation) {
  HWY_DYNAMIC_DISPATCH(bias_activation_impl)(tile, bias, form, pre_activation, activation);
}

void activation_backward(const Tile& tile, const Rows& pre_activation, Activation form,
                         const Rows& activation, const Rows& out, float* column_sums) {
  HWY_DYNAMIC_DISPATCH(activation_backward_impl)
  (tile, pre_activation, form, activation, out, column_sums);
}

void gated_activation(const Tile& tile, const float* bias, const Rows& gates, Activation form,
                      const Rows& pre, const Rows& hidden) {
  HWY_DYNAMIC_DISPATCH(gated_activation_impl)(tile, bias, gates, form, pre, hidden);
}

void gated_backward(const Tile& tile, const Rows& pre, const Rows& gates, Activation form,
                    const GatedGradients& to) {
  HWY_DYNAMIC_DISPATCH(gated_backward_impl)(tile, pre, gates, form, to);
}

void bias_scale_residual(const Tile& tile, const float* bias, const float* scale,
                         const Rows& residual, const Rows& branch, const Rows& out) {
  HWY_DYNAMIC_DISPATCH(bias_scale_residual_impl)(tile, bias, scale, residual, branch, out);
}

void scale_copy(const Rows& from, int64_t rows, int64_t columns, float factor, const Rows& to) {
  HWY_DYNAMIC_DISPATCH(scale_copy_impl)(from, rows, columns, factor, to);
}

void add_column_sums(const Rows& from, int64_t rows, int64_t columns, float* sums) {
  HWY_DYNAMIC_DISPATCH(add_column_sums_impl)(from, rows, columns, sums);
}

void scale_backward(const Tile& tile, const float* scale, const Rows& other, float* sums) {
  HWY_DYNAMIC_DISPATCH(scale_backward_impl)(tile, scale, other, sums);
}

}  // namespace vit22b::cpu
#endif
