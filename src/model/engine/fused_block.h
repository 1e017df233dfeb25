#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "kernels/cpu/norms.h"
#include "kernels/cpu/product.h"
#include "model/block_spec.h"
#include "model/engine.h"
#include "model/weight_store.h"

namespace vit22b::fused {

/// A block's weights as the kernels want them.
class BlockWeights {
 public:
  /// compute_type  of what is computed from them
  BlockWeights(const BlockSpec& block, const NamedTensors& tensors, at::ScalarType compute_type);

  const BlockSpec& block() const { return block_; }
  const NamedTensors& tensors() const { return tensors_; }
  at::ScalarType compute_type() const { return compute_type_; }
  cpu::Storage storage() const;  ///< of the compute type
  cpu::NormWeights norm(const BlockNorm& norm) const;
  const float* vector(const std::string& name, int64_t first = 0) const;  ///< null for ""
  const float* bias(const LinearSpec& linear) const {
    return vector(linear.bias, linear.bias_first);
  }
  cpu::Rows matrix(const LinearSpec& linear) const;

 private:
  const BlockSpec& block_;
  const NamedTensors& tensors_;
  const at::ScalarType compute_type_;
};

/// A weight as a product for such results takes it: for bfloat16 its values are rounded, also where
/// the CPU has products of float32 alone.
cpu::Rows weight_rows(const at::Tensor& weight, cpu::Storage results);

/// Whether the kernels can read a tensor: float32 or bfloat16 on the CPU.
bool is_readable(const at::Tensor& tensor);

/// A contiguous tensor [..., N] as rows of N; or columns of a matrix.
cpu::Rows rows_of(const at::Tensor& tensor);
cpu::Tile tile_of(const at::Tensor& tensor);

/// Packed forms of a block's linear layers by weight name and first row.
class PackedBlock : public PackedWeights {
 public:
  PackedBlock(const BlockSpec& block, const BlockWeights& weights);
  const cpu::PackedMatrix* find(const LinearSpec& linear) const;

 private:
  std::map<std::pair<std::string, int64_t>, cpu::PackedMatrix> matrices_;
};

/// An uninitialised [rows, columns] that only products will read, for activations of a storage
/// type: bfloat16 where they would round it to that.
at::Tensor empty_factor(int64_t rows, int64_t columns, cpu::Storage storage);

/// A norm over the rows of `from`, [rows, columns], by all threads.
void norm_rows(const cpu::Rows& from, int64_t rows, int64_t columns, const cpu::NormWeights& norm,
               const cpu::Rows& to);
/// Its derivative: `gradient` becomes that of `from`; those of the weight and the bias are added
/// where not null. `then(first, count)` follows on a thread's rows while they are in cache.
void norm_rows_backward(const cpu::Rows& from, const cpu::Tile& gradient,
                        const cpu::NormWeights& norm, float* weight_sums, float* bias_sums,
                        const std::function<void(int64_t first, int64_t count)>& then = {});

/// Adds the sums over rows to `sums`, by all threads.
void add_row_sums(const cpu::Rows& from, int64_t rows, int64_t columns, float* sums);

/// A norm over the rows of x: [B * T, D], a factor.
at::Tensor normalised(const BlockWeights& weights, const BlockNorm& norm, const at::Tensor& x);

}  // namespace vit22b::fused
