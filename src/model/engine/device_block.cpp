#include "model/engine/device_block.h"

namespace vit22b::fused {

at::Tensor vector_of(const NamedTensors& tensors, const std::string& name) {
  const auto it = tensors.find(name);
  return name.empty() || it == tensors.end() ? at::Tensor() : it->second;
}

at::Tensor part(const at::Tensor& vector, int64_t first, int64_t count) {
  return vector.defined() ? vector.narrow(0, first, count) : vector;
}

DeviceBlock::DeviceBlock(const DeviceOps& ops, const BlockSpec& block, const NamedTensors& weights,
                         const DevicePacked* packed, const at::Tensor& x_BTD,
                         at::ScalarType compute_type)
    : ops_(ops),
      block_(block),
      weights_(weights),
      packed_(packed),
      type_(compute_type),
      images_(x_BTD.size(0)),
      tokens_(x_BTD.size(1)) {}

at::Tensor DeviceBlock::matrix(const LinearSpec& linear) const {
  const at::Tensor ready = packed_ != nullptr ? packed_->find(linear.weight) : at::Tensor();
  return ready.defined() ? ready : weights_.at(linear.weight).to(type_);
}

at::Tensor DeviceBlock::bias(const LinearSpec& linear) const {
  return part(vector(linear.bias), linear.bias_first, linear.out);
}

NormSpec DeviceBlock::norm(const std::string& name) const {
  if (name.empty()) return {};
  return {vector(name + ".weight"), vector(name + ".bias"), block_.norm.eps,
          block_.norm.is_centred};
}

at::Tensor DeviceBlock::apply(const LinearSpec& linear, const at::Tensor& x,
                              const at::Tensor& bias) const {
  return at::linear(x, matrix(linear), bias.defined() ? bias.to(type_) : bias);
}

at::Tensor DeviceBlock::qkv_heads(const at::Tensor& qkv_NQ) const {
  return qkv_NQ.unflatten(1, {3, block_.heads, block_.width / block_.heads})
      .unflatten(0, {images_, tokens_});
}

at::Tensor DeviceBlock::heads(const at::Tensor& rows_ND) const {
  return rows_ND.view({images_, tokens_, block_.heads, block_.width / block_.heads});
}

QkvHeads DeviceBlock::split_heads(const at::Tensor& qkv_NQ) const {
  return ops_.split_heads(qkv_heads(qkv_NQ), qk_norms());
}

at::Tensor DeviceBlock::gelu_bias() const {
  return block_.is_parallel() && !block_.qkv.bias.empty() ? at::Tensor() : bias(block_.fc1);
}

DevicePacked::DevicePacked(const NamedTensors& weights, at::ScalarType compute_type) {
  for (const auto& [name, tensor] : weights)
    if (tensor.dim() == 2 && tensor.scalar_type() != compute_type)
      matrices_[name] = tensor.to(compute_type);
}

at::Tensor DevicePacked::find(const std::string& name) const {
  return vector_of(matrices_, name);
}

}  // namespace vit22b::fused
