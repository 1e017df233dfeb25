#include "kernels/attention.h"

#include <algorithm>

namespace vit22b {
namespace {

at::Tensor attention_logits(const at::Tensor& q_BHTK, const at::Tensor& k_BHTK) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(q_BHTK.size(-1)));
  return at::matmul(q_BHTK.to(at::kFloat), k_BHTK.to(at::kFloat).transpose(-2, -1)) * scale;
}

}  // namespace

at::Tensor aligned_heads(const at::Tensor& x_BHTK) {
  if (x_BHTK.is_cpu()) return x_BHTK;
  constexpr int64_t kBytes = 16;
  const auto element = static_cast<int64_t>(x_BHTK.element_size());
  bool is_aligned = reinterpret_cast<uintptr_t>(x_BHTK.const_data_ptr()) % kBytes == 0;
  for (int64_t dim = 0; dim < x_BHTK.dim() - 1; ++dim)
    is_aligned = is_aligned && x_BHTK.stride(dim) * element % kBytes == 0;
  return is_aligned ? x_BHTK : x_BHTK.clone(at::MemoryFormat::Contiguous);
}

at::Tensor attention(const at::Tensor& q_BHTK, const at::Tensor& k_BHTK, const at::Tensor& v_BHTK,
                     const AttentionMask& mask) {
  mask.check(q_BHTK.size(0), q_BHTK.size(2), k_BHTK.size(2));
  std::optional<at::Tensor> seen;
  if (mask.lengths_B.defined()) seen = mask.seen(q_BHTK.size(2), k_BHTK.size(2), q_BHTK.device());
  const at::Tensor out = at::scaled_dot_product_attention(
      aligned_heads(q_BHTK), aligned_heads(k_BHTK), aligned_heads(v_BHTK), seen, /*dropout_p=*/0,
      /*is_causal=*/mask.is_causal && !seen.has_value());
  // On a GPU the gradient is read like the heads: times one, it comes in a tensor of its own.
  return out.is_cpu() || !out.requires_grad() ? out : out.mul(1);
}

at::Tensor attention_weights(const at::Tensor& q_BHTK, const at::Tensor& k_BHTK) {
  return at::softmax(attention_logits(q_BHTK, k_BHTK), -1);
}

namespace {

/// Of all heads of all images, N: the largest |logit|, and each one's sums over queries of
/// entropies and of weights.
struct HeadSignals {
  at::Tensor largest, entropy_N, weights_NT;
};

HeadSignals head_signals(const at::Tensor& q_BHTK, const at::Tensor& k_BHTK) {
  constexpr int64_t kLogits = int64_t{1} << 18;  // at a time: 1 MiB
  const at::Tensor q_NTK = q_BHTK.flatten(0, 1), k_NTK = k_BHTK.flatten(0, 1);
  const int64_t heads = q_NTK.size(0), queries = q_NTK.size(1), keys = k_NTK.size(1);
  const int64_t rows = std::clamp<int64_t>(kLogits / keys, 1, queries),
                groups = std::max<int64_t>(1, kLogits / (rows * keys));
  HeadSignals signals{at::zeros({}, q_NTK.options().dtype(at::kFloat)),
                      at::zeros({heads}, q_NTK.options().dtype(at::kDouble)),
                      at::zeros({heads, keys}, q_NTK.options().dtype(at::kDouble))};
  for (int64_t head = 0; head < heads; head += groups) {
    const int64_t count = std::min(groups, heads - head);
    const at::Tensor k = k_NTK.narrow(0, head, count).to(at::kFloat);
    for (int64_t row = 0; row < queries; row += rows) {
      const at::Tensor q =
          q_NTK.narrow(0, head, count).narrow(1, row, std::min(rows, queries - row));
      const at::Tensor logits = attention_logits(q, k);
      signals.largest = at::maximum(signals.largest, logits.abs().max());
      const at::Tensor log_weights = at::log_softmax(logits, -1);
      const at::Tensor weights = log_weights.exp();
      signals.entropy_N.narrow(0, head, count)
          .sub_((weights * log_weights).sum(-1).sum(-1, /*keepdim=*/false, at::kDouble));
      signals.weights_NT.narrow(0, head, count)
          .add_(weights.sum(1, /*keepdim=*/false, at::kDouble));
    }
  }
  return signals;
}

}  // namespace

HeadAttention attention_by_head(const at::Tensor& q_BHTK, const at::Tensor& k_BHTK) {
  const HeadSignals signals = head_signals(q_BHTK, k_BHTK);
  const auto queries = static_cast<double>(q_BHTK.size(2));
  const at::Tensor entropy_N = signals.entropy_N / queries, mean_NT = signals.weights_NT / queries;
  const at::Tensor of_mean_N = -at::xlogy(mean_NT, mean_NT).sum(-1);
  const std::vector<int64_t> sizes = {q_BHTK.size(0), q_BHTK.size(1)};
  return {entropy_N.view(sizes), (of_mean_N - entropy_N).clamp_min(0).view(sizes)};
}

AttentionSignals attention_signals(const at::Tensor& q_BHTK, const at::Tensor& k_BHTK) {
  const HeadSignals signals = head_signals(q_BHTK, k_BHTK);
  const auto rows = static_cast<double>(q_BHTK.size(0) * q_BHTK.size(1) * q_BHTK.size(2));
  // .item() waits for the device; the caller asks only at its cadence.
  return {signals.largest.item<double>(), signals.entropy_N.sum().item<double>() / rows};
}

}  // namespace vit22b
