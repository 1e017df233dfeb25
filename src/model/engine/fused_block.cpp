#include "model/engine/fused_block.h"

#include "core/error.h"
#include "model/engine/block_steps.h"

namespace vit22b::fused {
namespace {

cpu::Storage storage_of(at::ScalarType type) {
  VIT22B_CHECK(type == at::kFloat || type == at::kBFloat16,
               "fused engine: want float32 or bfloat16");
  return type == at::kFloat ? cpu::Storage::kFloat32 : cpu::Storage::kBFloat16;
}

}  // namespace

BlockWeights::BlockWeights(const BlockSpec& block, const NamedTensors& tensors,
                           at::ScalarType compute_type)
    : block_(block), tensors_(tensors), compute_type_(compute_type) {}

cpu::Storage BlockWeights::storage() const {
  return storage_of(compute_type_);
}

const float* BlockWeights::vector(const std::string& name, int64_t first) const {
  if (name.empty()) return nullptr;
  const at::Tensor& tensor = tensors_.at(name);
  VIT22B_CHECK(tensor.scalar_type() == at::kFloat && tensor.is_contiguous(),
               "fused engine: norms, biases and scales are contiguous float32");
  return tensor.const_data_ptr<float>() + first;
}

cpu::NormWeights BlockWeights::norm(const BlockNorm& norm) const {
  if (!norm.exists()) return {};
  const auto& [name, form, whole] = norm;
  return {vector(name + ".weight"), form.has_bias ? vector(name + ".bias") : nullptr,
          static_cast<float>(form.eps), form.is_centred};
}

cpu::Rows BlockWeights::matrix(const LinearSpec& linear) const {
  return weight_rows(tensors_.at(linear.weight), storage()).at(linear.first_row, 0);
}

cpu::Rows weight_rows(const at::Tensor& weight, cpu::Storage results) {
  cpu::Rows rows = rows_of(weight);
  rows.is_rounded = results == cpu::Storage::kBFloat16;
  return rows;
}

at::Tensor empty_factor(int64_t rows, int64_t columns, cpu::Storage storage) {
  const bool is_half = cpu::best_arithmetic(storage) == cpu::Arithmetic::kHalf;
  return at::empty({rows, columns}, is_half ? at::kBFloat16 : at::kFloat);
}

bool is_readable(const at::Tensor& tensor) {
  return tensor.is_cpu() &&
         (tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16);
}

cpu::Rows rows_of(const at::Tensor& tensor) {
  const bool is_columns = tensor.dim() == 2 && tensor.stride(1) == 1;
  VIT22B_CHECK(tensor.is_contiguous() || is_columns, "fused engine: want rows without gaps");
  // The kernels' views are mutable; who reads only never writes through them.
  return {const_cast<void*>(tensor.const_data_ptr()),
          is_columns ? tensor.stride(0) : tensor.size(-1), storage_of(tensor.scalar_type())};
}

cpu::Tile tile_of(const at::Tensor& tensor) {
  VIT22B_CHECK(tensor.is_contiguous() && tensor.scalar_type() == at::kFloat,
               "fused engine: want a contiguous float32 tensor");
  return {static_cast<float*>(rows_of(tensor).data), tensor.size(-1),
          tensor.numel() / tensor.size(-1), tensor.size(-1)};
}

PackedBlock::PackedBlock(const BlockSpec& block, const BlockWeights& weights) {
  const cpu::Arithmetic arithmetic = cpu::best_arithmetic(weights.storage());
  for (const LinearSpec* linear : block.layers())
    matrices_.emplace(
        std::piecewise_construct, std::forward_as_tuple(linear->weight, linear->first_row),
        std::forward_as_tuple(weights.matrix(*linear), true, linear->in, linear->out, arithmetic));
}

std::unique_ptr<PackedWeights> pack_locally(const BlockSpec& block, const NamedTensors& weights,
                                            at::ScalarType compute_type) {
  return std::make_unique<PackedBlock>(block, BlockWeights(block, weights, compute_type));
}

const cpu::PackedMatrix* PackedBlock::find(const LinearSpec& linear) const {
  const auto it = matrices_.find({linear.weight, linear.first_row});
  return it == matrices_.end() ? nullptr : &it->second;
}

at::Tensor normalised(const BlockWeights& weights, const BlockNorm& norm, const at::Tensor& x) {
  const int64_t rows = x.numel() / x.size(-1), columns = x.size(-1);
  at::Tensor y = empty_factor(rows, columns, weights.storage());
  norm_rows(rows_of(x), rows, columns, weights.norm(norm), rows_of(y));
  return y;
}

}  // namespace vit22b::fused
