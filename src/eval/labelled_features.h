#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>
#include <vector>

namespace vit22b {

/// Frozen features of labelled samples, in memory.
struct LabelledFeatures {
  at::Tensor features_ND;                  ///< float32
  at::Tensor labels_N;                     ///< int64
  std::vector<std::string> label_names;    ///< empty where the labels have no names
  std::string place;                       ///< for messages
  std::vector<std::string> contents = {};  ///< content_hash of each; empty where nobody knows

  int64_t size() const { return labels_N.size(0); }
  /// The samples of these indices.
  LabelledFeatures subset(const at::Tensor& indices) const;
};

/// Reads `features` [N, D] (else `pooled`) and `labels` [N] from a safetensors file.
///
/// throws  CheckpointError for a damaged file, DataError for tensors that do not fit together,
///         features that are not finite, or labels below 0
LabelledFeatures read_features(const std::filesystem::path& path);

/// Embedded images and texts of one joint space; an image and a text belong together where their
/// labels are equal.
struct PairedFeatures {
  LabelledFeatures images, texts;
};

/// Reads images as read_features does, and `texts` [M, D] with `text_labels` [M] from the same
/// file.
///
/// throws  as read_features; DataError for texts of another width
PairedFeatures read_pairs(const std::filesystem::path& path);

/// A test set in a training set's classes, matched as label_map does.
///
/// class_map  which of the training set's classes the test's names are, as read_class_map has it;
///            "" for their own names
/// throws     DataError naming a class that the training set lacks
LabelledFeatures in_classes_of(const LabelledFeatures& train, LabelledFeatures test,
                               const std::string& class_map = "");

/// The number of classes of a training and a test set in its classes.
///
/// throws  DataError when the sets are not of one kind: other widths, a sample without a label, a
///         label without a name, fewer than two classes
int64_t count_classes(const LabelledFeatures& train, const LabelledFeatures& test);

/// Samples a class, [C] int64.
at::Tensor class_counts(const at::Tensor& labels_N, int64_t num_classes);

/// A fixed draw of a part of n samples, and the rest: int64 indices, in ascending order.
struct HoldOut {
  at::Tensor kept;
  at::Tensor held_out;
};
HoldOut hold_out(int64_t n, double part, uint64_t seed);

}  // namespace vit22b
