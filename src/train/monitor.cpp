#include "train/monitor.h"

namespace vit22b {

std::vector<AttentionSignals> attention_monitor(const ModelContext& context, WeightStore& store,
                                                const at::Tensor& images_BCHW) {
  constexpr int64_t kMaxImages = 8;
  std::vector<AttentionSignals> signals;
  observe_attention(context, store, images_BCHW.slice(0, 0, kMaxImages),
                    [&](int64_t, const QueriesKeys& qk) {
                      signals.push_back(attention_signals(qk.q_BHTK, qk.k_BHTK));
                    });
  return signals;
}

}  // namespace vit22b
