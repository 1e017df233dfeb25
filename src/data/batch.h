#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "data/field.h"
#include "data/sample.h"

namespace vit22b {

/// Samples together, ready for a model.
struct Batch {
  at::Tensor labels_B;  ///< int64, -1 for samples without
  std::vector<std::string> ids;
  /// The samples' fields by name, [B, ...]: images, of whatever name, [B, C, H, W], "text" [B, T]
  /// int64, masks and depth maps [B, H, W].
  std::map<std::string, at::Tensor> fields = {};
  /// Fields of several sizes, one a sample, where the loader was asked to take them.
  std::map<std::string, std::vector<at::Tensor>> ragged = {};
  /// Where each sample's image comes from in its picture; empty where samples have none.
  std::vector<Geometry> geometries = {};
  at::Tensor indices_B = {};  ///< int64, in the source
  /// With mixup: image i is `share` of sample i and the rest of a sample with label mixed_labels.
  at::Tensor mixed_labels_B = {};
  double share = 1;
  std::vector<std::string> contents = {};  ///< content_hash of each, where the loader was asked

  /// The images, float32; undefined where samples have none of one size.
  at::Tensor images_BCHW() const;

  /// The same on a device. From pinned memory it arrives while the caller goes on.
  Batch to(c10::Device device) const;
  /// The same in memory from which a GPU copies by itself.
  Batch pinned() const;
  /// Cut along the samples; ids stay with the whole.
  std::vector<Batch> pieces(int64_t count) const;

 private:
  Batch each_model_input(const std::function<at::Tensor(const at::Tensor&)>& change) const;
};

/// Images and their labels alone.
Batch batch_of(const at::Tensor& images_BCHW, const at::Tensor& labels_B);

/// Mixes each image with its neighbour: x_i = s x_i + (1 - s) x_{i-1}, s from Beta(alpha, alpha),
/// keyed by (seed, step); labels likewise.
///
/// alpha    more than 0, at most 1; 1 is uniform
/// num_own  samples that are mixed, 0 for all. Where the batch has one more, at its end, that is
/// the
///          neighbour of the first, and leaves; else the last of them is
/// source   Zhang et al. 2018 (mixup); big_vision utils.py get_mixup
Batch mixed(const Batch& batch, double alpha, uint64_t seed, int64_t step, int64_t num_own = 0);

}  // namespace vit22b
