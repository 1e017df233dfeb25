#pragma once
#include <ATen/core/Tensor.h>

#include <initializer_list>
#include <vector>

#include "kernels/cpu/update.h"
#include "kernels/rounding.h"
#include "optim/optimizer.h"

namespace vit22b {

/// Whether own kernels may walk these tensors as plain float32 or bfloat16 arrays: contiguous, on
/// the CPU.
bool are_plain(std::initializer_list<at::Tensor> tensors);

/// Values a thread takes at a time in an update.
constexpr int64_t kUpdateGrain = 32'768;

/// A weight as the CPU's kernels take it, and the bits that round some of its values.
class WeightOnCpu {
 public:
  WeightOnCpu(const at::Tensor& weight, const UpdateContext& context);
  /// Values first .. first + count - 1; `random` holds their bits for as long as the result is
  /// used.
  cpu::WeightValues values(int64_t first, int64_t count, std::vector<uint32_t>& random) const;

 private:
  char* data_;
  cpu::Storage storage_;
  bool rounds_to_nearest_;
  RoundingBits bits_;
};

/// The context's gradient scale as a tensor [1] on the weight's device, and as a number of the
/// host, which only tensors on the CPU may be asked for.
at::Tensor scale_tensor(const UpdateContext& context, const at::Tensor& weight);
float scale_on_host(const UpdateContext& context);

/// The bits that round this update's bfloat16 weights, by (seed, step, name, index in the whole).
RoundingBits rounding_bits(const UpdateContext& context);

/// The means of a tensor of which ranks have parts.
class PartMeans {
 public:
  PartMeans(const UpdateContext& context, at::IntArrayRef part_shape);
  /// The shape of the whole.
  const std::vector<int64_t>& shape() const { return shape_; }
  /// From sums of the part along a dim to means of the whole.
  at::Tensor mean_of_sums(const at::Tensor& sums, int64_t dim) const;
  /// The mean along a dim, which stays with length 1.
  at::Tensor mean(const at::Tensor& part, int64_t dim) const;

 private:
  const UpdateContext& context_;
  std::vector<int64_t> shape_;
};

/// target = value where the gradient scale is finite; decided on the device, nothing waits.
void assign(at::Tensor& target, const at::Tensor& value, const at::Tensor& scale);
/// The same for a weight; bfloat16 is rounded stochastically.
void assign_weight(at::Tensor& weight, const at::Tensor& value, const at::Tensor& scale,
                   const UpdateContext& context);

}  // namespace vit22b
