#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <vector>

namespace vit22b {

/// Classifies by the k nearest training samples: cosine similarity, votes weighted by
/// exp(similarity / temperature); equal votes go to the lower class.
///
/// ks       numbers of neighbours, each at most the number of training samples; twice is once
/// returns  for each k the predicted classes, [M] int64
/// source   DINOv2 eval/knn.py (temperature 0.07, k 10, 20, 100, 200)
std::map<int64_t, at::Tensor> classify_by_neighbors(const at::Tensor& train_ND,
                                                    const at::Tensor& labels_N,
                                                    const at::Tensor& test_MD,
                                                    const std::vector<int64_t>& ks,
                                                    double temperature);

/// The cosine similarity of each test sample to the training sample that is its k-th nearest,
/// [M] float32.
///
/// k  at most the number of training samples
at::Tensor neighbor_similarity(const at::Tensor& train_ND, const at::Tensor& test_MD, int64_t k);

}  // namespace vit22b
