#include "train/monitor.h"

namespace vit22b {

std::vector<AttentionSignals> attention_monitor(const ModelContext& context, WeightStore& store,
                                                const at::Tensor& images_BCHW, int64_t batch_size) {
  constexpr int64_t kMaxImages = 8;
  const Mesh& mesh = context.mesh;
  const int64_t first = mesh.share(MeshAxis::kData, batch_size).first;
  const int64_t own = std::clamp<int64_t>(kMaxImages - first, 0, images_BCHW.size(0));
  std::vector<double> largest, entropies;
  // A rank without such an image takes part with one that does not count.
  observe_attention(context, store, images_BCHW.slice(0, 0, std::max<int64_t>(1, own)),
                    [&](int64_t, const QueriesKeys& qk) {
                      const AttentionSignals s = attention_signals(qk.q_BHTK, qk.k_BHTK);
                      largest.push_back(own > 0 ? s.max_logit : 0);
                      entropies.push_back(s.entropy * static_cast<double>(own));
                    });
  entropies.push_back(static_cast<double>(own));
  const at::Tensor all_largest = at::tensor(largest, at::kDouble);
  const at::Tensor sums = at::tensor(entropies, at::kDouble);
  mesh.max_(all_largest, MeshAxis::kAll, "attention logits");
  mesh.sum_(sums, MeshAxis::kAll, "attention entropies");
  std::vector<AttentionSignals> signals;
  const int64_t depth = all_largest.size(0);
  for (int64_t i = 0; i < depth; ++i)
    signals.push_back(
        {all_largest[i].item<double>(), sums[i].item<double>() / sums[depth].item<double>()});
  return signals;
}

}  // namespace vit22b
