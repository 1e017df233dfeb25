#pragma once
#include <string>
#include <vector>

#include "model/dense/batch_norm.h"
#include "model/dense/dense_head.h"

namespace vit22b {

/// A convolution, or a linear layer where the kernel is 0.
struct ConvShape {
  int64_t out, in, kernel;
  bool has_bias = true;
};
/// Its rows.
///
/// deviation  of the first weights; 0 for He's, sqrt(2 / fan in)
void add_conv_rows(const std::string& name, const ConvShape& shape, double deviation,
                   std::vector<ParameterRow>& rows);
/// Rows of a batch norm.
void add_norm_rows(const std::string& name, int64_t channels, std::vector<ParameterRow>& rows);

/// Sets whole channels of a picture to 0, the others to x / (1 - share); keyed by (seed, step,
/// sample), so that a picture loses the same ones on any mesh.
///
/// x_BHWC  or undefined training: x as it is
at::Tensor drop_channels(const at::Tensor& x_BHWC, double share, const DensePass* training);

}  // namespace vit22b
