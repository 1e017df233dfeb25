#include "kernels/attention.h"

namespace vit22b {
namespace {

at::Tensor attention_logits(const at::Tensor& q_BHTK, const at::Tensor& k_BHTK) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(q_BHTK.size(-1)));
  return at::matmul(q_BHTK.to(at::kFloat), k_BHTK.to(at::kFloat).transpose(-2, -1)) * scale;
}

}  // namespace

at::Tensor attention(const at::Tensor& q_BHTK, const at::Tensor& k_BHTK, const at::Tensor& v_BHTK) {
  return at::scaled_dot_product_attention(q_BHTK, k_BHTK, v_BHTK);
}

at::Tensor attention_weights(const at::Tensor& q_BHTK, const at::Tensor& k_BHTK) {
  return at::softmax(attention_logits(q_BHTK, k_BHTK), -1);
}

AttentionSignals attention_signals(const at::Tensor& q_BHTK, const at::Tensor& k_BHTK) {
  const at::Tensor logits = attention_logits(q_BHTK, k_BHTK);
  const at::Tensor log_weights = at::log_softmax(logits, -1);
  const at::Tensor entropy = -(log_weights.exp() * log_weights).sum(-1).mean();
  // .item() waits for the device; the caller asks only at its cadence.
  return {logits.abs().max().item<double>(), entropy.item<double>()};
}

}  // namespace vit22b
