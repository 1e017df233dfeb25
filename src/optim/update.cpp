#include "optim/update.h"

#include "core/error.h"

namespace vit22b {
namespace {

// Added before the low 16 bits are cut off, in place of random ones.
constexpr uint32_t kHalfOfTheLastPlace = 0x8000;

}  // namespace

bool are_plain(std::initializer_list<at::Tensor> tensors) {
  return std::all_of(tensors.begin(), tensors.end(), [](const at::Tensor& tensor) {
    return tensor.is_cpu() && tensor.is_contiguous();
  });
}

WeightOnCpu::WeightOnCpu(const at::Tensor& weight, const UpdateContext& context)
    : data_(static_cast<char*>(weight.mutable_data_ptr())),
      storage_(weight.scalar_type() == at::kFloat ? cpu::Storage::kFloat32
                                                  : cpu::Storage::kBFloat16),
      rounds_to_nearest_(context.rounds_to_nearest),
      bits_(rounding_bits(context)) {
  VIT22B_CHECK(weight.scalar_type() == at::kFloat || weight.scalar_type() == at::kBFloat16,
               "optimizer: weights are float32 or bfloat16");
}

cpu::WeightValues WeightOnCpu::values(int64_t first, int64_t count,
                                      std::vector<uint32_t>& random) const {
  void* data = data_ + first * cpu::storage_bytes(storage_);
  if (storage_ == cpu::Storage::kFloat32) return {data, storage_, nullptr};
  random.resize(static_cast<size_t>(count));
  if (rounds_to_nearest_)
    std::fill(random.begin(), random.end(), kHalfOfTheLastPlace);
  else
    bits_.fill(random, first);
  return {data, storage_, random.data()};
}

PartMeans::PartMeans(const UpdateContext& context, at::IntArrayRef part_shape)
    : context_(context), shape_(context.cut != nullptr ? context.cut->shape : part_shape.vec()) {}

at::Tensor PartMeans::mean_of_sums(const at::Tensor& sums, int64_t dim) const {
  const at::Tensor all = sums.contiguous();
  if (context_.cut != nullptr)
    for (const MeshAxis axis : {MeshAxis::kData, MeshAxis::kModel})
      if (context_.cut->is_cut(dim, axis)) context_.mesh->sum_(all, axis, context_.name);
  return all / shape_[static_cast<size_t>(dim)];
}

at::Tensor PartMeans::mean(const at::Tensor& part, int64_t dim) const {
  return mean_of_sums(part.sum(dim, /*keepdim=*/true), dim);
}

at::Tensor scale_tensor(const UpdateContext& context, const at::Tensor& weight) {
  return context.gradient_scale.defined() ? context.gradient_scale
                                          : at::ones({1}, weight.options().dtype(at::kFloat));
}

float scale_on_host(const UpdateContext& context) {
  return context.gradient_scale.defined() ? context.gradient_scale.item<float>() : 1;
}

RoundingBits rounding_bits(const UpdateContext& context) {
  return {
      {context.seed, concat("rounding.", context.step), context.name},
      context.cut == nullptr ? PartLayout{} : part_layout(*context.cut, place_of(*context.mesh))};
}

void assign(at::Tensor& target, const at::Tensor& value, const at::Tensor& scale) {
  if (!scale.is_cpu())
    target.copy_(at::where(at::isfinite(scale), value, target));
  else if (std::isfinite(scale.item<float>()))
    target.copy_(value);
}

void assign_weight(at::Tensor& weight, const at::Tensor& value, const at::Tensor& scale,
                   const UpdateContext& context) {
  const bool is_plain = weight.scalar_type() == at::kFloat || context.rounds_to_nearest;
  assign(weight, is_plain ? value : round_stochastically(value, rounding_bits(context)), scale);
}

}  // namespace vit22b
