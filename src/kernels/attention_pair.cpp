#include "kernels/attention_pair.h"

#include <limits>
#include <optional>

#include "core/error.h"
#include "kernels/attention.h"

namespace vit22b {
namespace {

// libtorch wants [B, H, T, K].
at::Tensor by_head(const at::Tensor& x_BTHK) {
  return x_BTHK.transpose(1, 2);
}

AttentionForm form_of(const at::Tensor& q_BTHK, const AttentionMask& mask, bool is_differentiated) {
  // What cuDNN's kernel is worth its plans for. Its gradient has other bits every time (seen with
  // 1,025 tokens on an H100).
  constexpr int64_t kFewTokens = 64;
  const int64_t tokens = q_BTHK.size(1), size = q_BTHK.size(-1);
  if (mask.lengths_B.defined()) return AttentionForm::kExplicit;
  if (q_BTHK.is_cpu()) return AttentionForm::kCpu;
  if (!q_BTHK.is_cuda()) return AttentionForm::kExplicit;
  // These read 16 bytes at a time and keep a head of up to 128 or 256 values on chip.
  if (q_BTHK.scalar_type() == at::kBFloat16 && size % 8 == 0) {
    if (!is_differentiated && size <= 128 && tokens >= kFewTokens &&
        device_ops(q_BTHK.device()).has_cudnn_attention(q_BTHK.device()))
      return AttentionForm::kCudnn;
    if (size <= 256) return AttentionForm::kFlash;
  }
  if (q_BTHK.scalar_type() == at::kFloat && size % 4 == 0) return AttentionForm::kEfficient;
  return AttentionForm::kExplicit;
}

/// While it lives libtorch's kernels add in a fixed order: a run that goes on from a checkpoint
/// makes the same steps, bit for bit, beside ones that add as they come.
class FixedOrder {
 public:
  FixedOrder()
      : was_deterministic_(at::globalContext().deterministicAlgorithms()),
        was_filling_(at::globalContext().deterministicFillUninitializedMemory()) {
    at::globalContext().setDeterministicFillUninitializedMemory(false);
    at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  }
  ~FixedOrder() {
    at::globalContext().setDeterministicAlgorithms(was_deterministic_, /*warn_only=*/false);
    at::globalContext().setDeterministicFillUninitializedMemory(was_filling_);
  }
  FixedOrder(const FixedOrder&) = delete;
  FixedOrder& operator=(const FixedOrder&) = delete;

 private:
  bool was_deterministic_, was_filling_;
};

double scale_of(const at::Tensor& q_BTHK) {
  return 1 / std::sqrt(static_cast<double>(q_BTHK.size(-1)));
}

at::Tensor explicit_weights(const QkvHeads& heads, const AttentionMask& mask) {
  const at::Tensor q = by_head(heads.q).to(at::kFloat), k = by_head(heads.k).to(at::kFloat);
  at::Tensor logits = at::matmul(q, k.transpose(-2, -1)) * scale_of(heads.q);
  if (!mask.is_everything())
    logits.masked_fill_(mask.seen(q.size(2), k.size(2), q.device()).logical_not(),
                        -std::numeric_limits<double>::infinity());
  return at::softmax(logits, -1);
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

at::Tensor attention_pair_forward(const QkvHeads& heads, const AttentionMask& mask,
                                  AttentionTape* tape) {
  mask.check(heads.q.size(0), heads.q.size(1), heads.k.size(1));
  const bool is_causal = mask.is_causal;
  const at::Tensor q = aligned_heads(by_head(heads.q)), k = aligned_heads(by_head(heads.k)),
                   v = aligned_heads(by_head(heads.v));
  AttentionTape made;
  made.form = form_of(heads.q, mask, tape != nullptr);
  switch (made.form) {
    case AttentionForm::kCpu:
      std::tie(made.out_BTHK, made.statistics) =
          at::_scaled_dot_product_flash_attention_for_cpu(q, k, v, 0, is_causal);
      break;
    case AttentionForm::kFlash: {
      auto result = at::_scaled_dot_product_flash_attention(q, k, v, 0, is_causal);
      made = {made.form, std::get<0>(result), std::get<1>(result), std::get<6>(result),
              std::get<7>(result)};
      break;
    }
    case AttentionForm::kCudnn:
      made.out_BTHK = std::get<0>(at::_scaled_dot_product_cudnn_attention(
          q, k, v, {}, /*compute_log_sumexp=*/false, 0, is_causal));
      break;
    case AttentionForm::kEfficient:
      std::tie(made.out_BTHK, made.statistics, made.seed, made.offset) =
          at::_scaled_dot_product_efficient_attention(q, k, v, {}, tape != nullptr, 0, is_causal);
      break;
    case AttentionForm::kExplicit:
      made.statistics = explicit_weights(heads, mask);
      made.out_BTHK = at::matmul(made.statistics, v.to(at::kFloat)).to(v.scalar_type());
      break;
  }
  made.out_BTHK = by_head(made.out_BTHK).contiguous();  // as these kernels leave it: no copy
  if (tape != nullptr) *tape = made;
  return made.out_BTHK;
}

QkvHeads attention_pair_backward(const QkvHeads& heads, const AttentionMask& mask,
                                 const AttentionTape& tape, const at::Tensor& d_out_BTHK) {
  const at::Tensor q = aligned_heads(by_head(heads.q)), k = aligned_heads(by_head(heads.k)),
                   v = aligned_heads(by_head(heads.v)), out = by_head(tape.out_BTHK),
                   d_out = aligned_heads(by_head(d_out_BTHK));
  const int64_t queries = q.size(2), keys = k.size(2);
  const bool is_causal = mask.is_causal;
  at::Tensor d_q, d_k, d_v, d_mask;
  std::optional<FixedOrder> fixed;
  if (!q.is_cpu()) fixed.emplace();
  switch (tape.form) {
    case AttentionForm::kCpu:
      std::tie(d_q, d_k, d_v) = at::_scaled_dot_product_flash_attention_for_cpu_backward(
          d_out, q, k, v, out, tape.statistics, 0, is_causal);
      break;
    case AttentionForm::kFlash:
      std::tie(d_q, d_k, d_v) = at::_scaled_dot_product_flash_attention_backward(
          d_out, q, k, v, out, tape.statistics, {}, {}, queries, keys, 0, is_causal, tape.seed,
          tape.offset);
      break;
    case AttentionForm::kEfficient:
      std::tie(d_q, d_k, d_v, d_mask) = at::_scaled_dot_product_efficient_attention_backward(
          d_out, q, k, v, {}, out, tape.statistics, tape.seed, tape.offset, 0,
          {true, true, true, false}, is_causal);
      break;
    case AttentionForm::kCudnn:
      throw InternalError("attention: its forward pass was for inference");
    case AttentionForm::kExplicit:
      return explicit_backward(heads, tape.statistics, d_out_BTHK);
  }
  return {by_head(d_q), by_head(d_k), by_head(d_v)};
}

}  // namespace vit22b
