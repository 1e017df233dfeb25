#pragma once
#include <ATen/core/Tensor.h>

namespace vit22b::metrics {

/// A matrix's largest singular value, by Golub and Kahan's bidiagonalisation with every direction
/// made orthogonal to those before: some 20 to 60 products with the matrix, where plain power
/// iteration of a matrix without a large gap takes thousands. To 1e-6 of the value.
///
/// matrix   float32 or float64, on the CPU
/// returns  NaN where a value is not finite; 0 of an empty matrix
/// source   Golub and Kahan 1965; the first direction is fixed, so that a matrix has one answer
double spectral_norm(const at::Tensor& matrix);

}  // namespace vit22b::metrics
