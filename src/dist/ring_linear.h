#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "dist/mesh.h"

namespace vit22b {

/// x W^T of a weight whose rows are cut over the model axis, x cut by columns: every rank's x comes
/// round the ring and meets the matching columns of this rank's rows. Differentiable; without a
/// model axis a plain product.
///
/// x_local       [..., D / k], contiguous rows
/// weight_local  [rows of this rank, D]
/// returns       [..., rows of this rank], dtype of x; partial sums in float32
/// source        arXiv 2302.05442 section 3.1, row sharding
at::Tensor row_linear(const Mesh& mesh, const at::Tensor& x_local, const at::Tensor& weight_local);

/// One product of a sum.
struct ColumnTerm {
  at::Tensor x_local;       ///< [..., columns of this rank]
  at::Tensor weight_local;  ///< [D, columns of this rank]
};

/// The sum of x W^T over terms (one or two) whose weights are cut by columns: partial sums travel
/// round the ring and end cut by columns as the residual stream is. Differentiable; without a model
/// axis plain products.
///
/// returns  [..., D / k], dtype of x; partial sums in float32
/// source   arXiv 2302.05442 section 3.1, column sharding
at::Tensor column_linear(const Mesh& mesh, const std::vector<ColumnTerm>& terms);

/// The sum of a tensor over the model axis; its gradient is summed as well. Differentiable.
at::Tensor sum_over_model(const Mesh& mesh, const at::Tensor& x);

/// The whole of a tensor whose last dim of `whole` values is shared out over the model axis; on
/// every rank. Not differentiable.
at::Tensor gather_columns(const Mesh& mesh, const at::Tensor& part, int64_t whole);

}  // namespace vit22b
