#include "kernels/attention_pair.h"

namespace vit22b {
namespace {

// libtorch wants [B, H, T, K].
at::Tensor by_head(const at::Tensor& x_BTHK) {
  return x_BTHK.transpose(1, 2);
}

enum class Form { kCpu, kFlash, kEfficient, kExplicit };

Form form_of(const at::Tensor& q_BTHK) {
  const int64_t size = q_BTHK.size(-1);
  if (q_BTHK.is_cpu()) return Form::kCpu;
  // Flash attention reads 16 bytes at a time and keeps a head of up to 256 values on chip.
  if (q_BTHK.scalar_type() == at::kBFloat16 && size % 8 == 0 && size <= 256) return Form::kFlash;
  if (q_BTHK.scalar_type() == at::kFloat && size % 4 == 0) return Form::kEfficient;
  return Form::kExplicit;
}

double scale_of(const at::Tensor& q_BTHK) {
  return 1 / std::sqrt(static_cast<double>(q_BTHK.size(-1)));
}

at::Tensor explicit_weights(const QkvHeads& heads) {
  const at::Tensor q = by_head(heads.q).to(at::kFloat), k = by_head(heads.k).to(at::kFloat);
  return at::softmax(at::matmul(q, k.transpose(-2, -1)) * scale_of(heads.q), -1);
}

QkvHeads explicit_backward(const QkvHeads& heads, const at::Tensor& weights,
                           const at::Tensor& d_out_BTHK) {
  const at::Tensor q = by_head(heads.q).to(at::kFloat), k = by_head(heads.k).to(at::kFloat),
                   v = by_head(heads.v).to(at::kFloat), d_out = by_head(d_out_BTHK).to(at::kFloat);
  const at::Tensor d_weights = at::matmul(d_out, v.transpose(-2, -1));
  const at::Tensor d_logits =
      weights * (d_weights - (d_weights * weights).sum(-1, true)) * scale_of(heads.q);
  const auto back = [&](const at::Tensor& gradient) {
    return by_head(gradient).to(heads.q.scalar_type());
  };
  return {back(at::matmul(d_logits, k)), back(at::matmul(d_logits.transpose(-2, -1), q)),
          back(at::matmul(weights.transpose(-2, -1), d_out))};
}

}  // namespace

at::Tensor attention_pair_forward(const QkvHeads& heads, AttentionTape* tape) {
  const at::Tensor q = by_head(heads.q), k = by_head(heads.k), v = by_head(heads.v);
  AttentionTape made;
  switch (form_of(heads.q)) {
    case Form::kCpu:
      std::tie(made.out_BTHK, made.statistics) =
          at::_scaled_dot_product_flash_attention_for_cpu(q, k, v);
      break;
    case Form::kFlash: {
      auto result = at::_scaled_dot_product_flash_attention(q, k, v);
      made = {std::get<0>(result), std::get<1>(result), std::get<6>(result), std::get<7>(result)};
      break;
    }
    case Form::kEfficient:
      std::tie(made.out_BTHK, made.statistics, made.seed, made.offset) =
          at::_scaled_dot_product_efficient_attention(q, k, v, {}, tape != nullptr);
      break;
    case Form::kExplicit:
      made.statistics = explicit_weights(heads);
      made.out_BTHK = at::matmul(made.statistics, v.to(at::kFloat)).to(v.scalar_type());
      break;
  }
  made.out_BTHK = by_head(made.out_BTHK).contiguous();  // as these kernels leave it: no copy
  if (tape != nullptr) *tape = made;
  return made.out_BTHK;
}

QkvHeads attention_pair_backward(const QkvHeads& heads, const AttentionTape& tape,
                                 const at::Tensor& d_out_BTHK) {
  const at::Tensor q = by_head(heads.q), k = by_head(heads.k), v = by_head(heads.v),
                   out = by_head(tape.out_BTHK), d_out = by_head(d_out_BTHK);
  const int64_t tokens = q.size(2);
  at::Tensor d_q, d_k, d_v, d_mask;
  switch (form_of(heads.q)) {
    case Form::kCpu:
      std::tie(d_q, d_k, d_v) = at::_scaled_dot_product_flash_attention_for_cpu_backward(
          d_out, q, k, v, out, tape.statistics, 0, false);
      break;
    case Form::kFlash:
      std::tie(d_q, d_k, d_v) = at::_scaled_dot_product_flash_attention_backward(
          d_out, q, k, v, out, tape.statistics, {}, {}, tokens, tokens, 0, false, tape.seed,
          tape.offset);
      break;
    case Form::kEfficient:
      std::tie(d_q, d_k, d_v, d_mask) = at::_scaled_dot_product_efficient_attention_backward(
          d_out, q, k, v, {}, out, tape.statistics, tape.seed, tape.offset, 0,
          {true, true, true, false});
      break;
    case Form::kExplicit:
      return explicit_backward(heads, tape.statistics, d_out_BTHK);
  }
  return {by_head(d_q), by_head(d_k), by_head(d_v)};
}

}  // namespace vit22b
