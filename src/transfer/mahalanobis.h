#pragma once
#include <ATen/core/Tensor.h>

namespace vit22b {

/// Distances of features from the classes that others of a known kind form: the squared Mahalanobis
/// distance from the nearest class mean, under one covariance for all classes.
///
/// source  Lee et al. 2018; relative: Ren et al. 2021, less the distance from the mean of all under
///         the covariance of all
class Mahalanobis {
 public:
  /// Means and covariances, divided by the number of samples, with 1e-6 of the mean variance added
  /// on the diagonal; float64.
  ///
  /// labels_N  int64, whatever numbers
  /// throws    DataError where there are no samples, or none differs from its class's mean
  Mahalanobis(const at::Tensor& features_ND, const at::Tensor& labels_N);

  struct Distances {
    at::Tensor nearest_M, relative_M;  ///< float64
  };
  int64_t num_classes() const { return means_CD_.size(0); }
  /// throws  DataError for features of another width
  Distances distances(const at::Tensor& features_MD) const;

 private:
  /// What turns the squared Euclidean distance of images into Mahalanobis': the inverse of the
  /// covariance's Cholesky factor, transposed.
  at::Tensor whitening_DD_, whitening_of_all_DD_;
  at::Tensor means_CD_;  ///< of the classes, whitened
  at::Tensor mean_1D_;   ///< of all, whitened by the covariance of all
};

}  // namespace vit22b
