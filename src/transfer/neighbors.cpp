#include "transfer/neighbors.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "kernels/norm.h"

namespace vit22b {
namespace {

constexpr int64_t kSimilaritiesAtOnce = int64_t{1} << 25;  // 128 MiB of float32

int64_t rows_at_once(int64_t num_train) {
  return std::max<int64_t>(1, kSimilaritiesAtOnce / num_train);
}

}  // namespace

at::Tensor neighbor_similarity(const at::Tensor& train_ND, const at::Tensor& test_MD, int64_t k) {
  VIT22B_CHECK(k > 0 && k <= train_ND.size(0), "neighbor_similarity: k ", k, " of ",
               train_ND.size(0));
  const at::Tensor train_DN = unit_length(train_ND.to(at::kFloat)).t().contiguous();
  std::vector<at::Tensor> similar;
  for (const at::Tensor& piece : test_MD.split(rows_at_once(train_ND.size(0))))
    similar.push_back(std::get<0>(at::mm(unit_length(piece.to(at::kFloat)), train_DN).topk(k, 1))
                          .select(1, k - 1));
  return at::cat(similar);
}

std::map<int64_t, at::Tensor> classify_by_neighbors(const at::Tensor& train_ND,
                                                    const at::Tensor& labels_N,
                                                    const at::Tensor& test_MD,
                                                    const std::vector<int64_t>& ks,
                                                    double temperature) {
  const int64_t num_train = train_ND.size(0);
  const int64_t most = *std::max_element(ks.begin(), ks.end());
  VIT22B_CHECK(most <= num_train, "classify_by_neighbors: k ", most, " of ", num_train);
  const int64_t classes = labels_N.max().item<int64_t>() + 1;
  const at::Tensor train_DN = unit_length(train_ND.to(at::kFloat)).t().contiguous();
  std::map<int64_t, std::vector<at::Tensor>> pieces;
  for (const at::Tensor& piece : test_MD.split(rows_at_once(num_train))) {
    const at::Tensor similar_MN = at::mm(unit_length(piece.to(at::kFloat)), train_DN);
    const auto [values, indices] = similar_MN.topk(most, 1);
    // Less the largest, which changes no vote's share: exp(1 / 0.001) is infinite.
    const at::Tensor similar = values.to(at::kDouble);
    const at::Tensor votes = ((similar - similar.slice(1, 0, 1)) / temperature).exp();
    const at::Tensor of = labels_N.index_select(0, indices.flatten()).view_as(indices);
    for (const int64_t k : std::set<int64_t>(ks.begin(), ks.end())) {
      at::Tensor sums = at::zeros({piece.size(0), classes}, at::kDouble);
      sums.scatter_add_(1, of.slice(1, 0, k), votes.slice(1, 0, k));
      pieces[k].push_back(sums.argmax(1));
    }
  }
  std::map<int64_t, at::Tensor> predicted;
  for (const auto& [k, parts] : pieces) predicted[k] = at::cat(parts);
  return predicted;
}

}  // namespace vit22b
