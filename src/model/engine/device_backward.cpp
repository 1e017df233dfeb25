#include "model/engine/device_block.h"

namespace vit22b::fused {
namespace {

// Gradients of the residual stream, the vectors and the weights are float32, the others of the
// compute type. What the forward pass kept is freed as it has been used.
class DeviceBackward {
 public:
  DeviceBackward(const DeviceOps& ops, const DeviceBlock& block, SavedDeviceBlock& saved,
                 UnitGrads* grads)
      : ops_(ops), b_(block), l_(block.block()), s_(saved), grads_(grads) {
    if (grads_ != nullptr && grads_->is_overwrite)
      for (auto& [name, tensor] : grads_->tensors)
        if (tensor.dim() == 1) tensor.zero_();  // vectors are summed into, matrices overwritten
  }

  at::Tensor run(const at::Tensor& output_gradient_BTD) {
    const at::Tensor g = output_gradient_BTD.to(at::kFloat).reshape({-1, l_.width}).contiguous();
    const at::Tensor x = s_.x_BTD.flatten(0, 1);
    return (l_.is_parallel() ? parallel(g, x) : serial(g, x)).view(s_.x_BTD.sizes());
  }

 private:
  at::Tensor parallel(const at::Tensor& g, const at::Tensor& x) {
    const LinearSpec in = l_.in_projection();
    const at::Tensor d_branch = branch_backward(g, s_.branch2, l_.scale2, l_.fc2);
    at::Tensor d_projected = at::empty({x.size(0), in.out}, x.options().dtype(b_.type()));
    mlp_backward(d_branch, d_projected.narrow(1, 0, l_.hidden));
    attention_backward(d_branch, d_projected.narrow(1, l_.hidden, l_.qkv.out));
    weight_gradient(in, d_projected, b_.normalised(l_.norm1, x));
    return norm_backward(l_.norm1, input_gradient(in, d_projected), x, g);
  }

  at::Tensor serial(const at::Tensor& g, const at::Tensor& x) {
    const at::Tensor d_branch2 = branch_backward(g, s_.branch2, l_.scale2, l_.fc2);
    at::Tensor d_pre = at::empty_like(s_.pre_NM);
    mlp_backward(d_branch2, d_pre);
    weight_gradient(l_.fc1, d_pre, b_.normalised(l_.norm2, s_.middle));
    const at::Tensor d_middle =
        norm_backward(l_.norm2, input_gradient(l_.fc1, d_pre), s_.middle, g);
    const at::Tensor d_branch1 = branch_backward(d_middle, s_.branch1, l_.scale1, l_.proj);
    at::Tensor d_qkv = at::empty({x.size(0), l_.qkv.out}, x.options().dtype(b_.type()));
    attention_backward(d_branch1, d_qkv);
    weight_gradient(l_.qkv, d_qkv, b_.normalised(l_.norm1, x));
    return norm_backward(l_.norm1, input_gradient(l_.qkv, d_qkv), x, d_middle);
  }

  at::Tensor branch_backward(const at::Tensor& g, const at::Tensor& branch,
                             const std::string& scale, const LinearSpec& linear) {
    return ops_.branch_backward(g, branch, b_.vector(scale), b_.type(), bias_target(linear),
                                target(scale));
  }

  void mlp_backward(const at::Tensor& d_branch, const at::Tensor& d_pre) {
    const at::Tensor activation =
        ops_.activation_backward(input_gradient(l_.fc2, d_branch), s_.pre_NM, b_.gelu_bias(),
                                 l_.activation, d_pre, bias_target(l_.fc1));
    s_.pre_NM.reset();
    weight_gradient(l_.fc2, d_branch, activation);
  }

  void attention_backward(const at::Tensor& d_branch, const at::Tensor& d_qkv) {
    weight_gradient(l_.proj, d_branch, s_.attention.out_BTHK.view({-1, l_.width}));
    const at::Tensor d_attended = b_.heads(input_gradient(l_.proj, d_branch));
    const QkvHeads gradients =
        attention_pair_backward(b_.split_heads(s_.qkv_NQ), s_.attention, d_attended);
    ops_.split_heads_backward(gradients, b_.qkv_heads(s_.qkv_NQ), b_.qk_norms(),
                              b_.qkv_heads(d_qkv), {sums(l_.q_norm), sums(l_.k_norm)});
    s_.qkv_NQ.reset();
    s_.attention = {};
    if (at::Tensor bias = bias_target(l_.qkv); bias.defined())
      bias.add_(d_qkv.sum(0, false, at::kFloat));
  }

  at::Tensor norm_backward(const std::string& name, const at::Tensor& d_y, const at::Tensor& x,
                           const at::Tensor& residual) {
    return ops_.norm_backward(d_y, x, b_.norm(name), residual, sums(name));
  }

  // d_output · W
  at::Tensor input_gradient(const LinearSpec& linear, const at::Tensor& d_output) const {
    return at::mm(d_output, b_.matrix(linear));
  }

  void weight_gradient(const LinearSpec& linear, const at::Tensor& d_output,
                       const at::Tensor& input) {
    if (const at::Tensor weight = target(linear.weight); weight.defined())
      ops_.weight_gradient(d_output, input, grads_->is_overwrite, weight);
  }

  at::Tensor target(const std::string& name) const {
    return grads_ == nullptr ? at::Tensor() : vector_of(grads_->tensors, name);
  }
  at::Tensor bias_target(const LinearSpec& linear) const {
    return part(target(linear.bias), linear.bias_first, linear.out);
  }
  NormSums sums(const std::string& name) const {
    if (name.empty()) return {};
    return {target(name + ".weight"), target(name + ".bias")};
  }

  const DeviceOps& ops_;
  const DeviceBlock& b_;
  const BlockSpec& l_;
  SavedDeviceBlock& s_;
  UnitGrads* grads_;
};

}  // namespace

at::Tensor device_backward(const DeviceOps& ops, SavedDeviceBlock& saved,
                           const at::Tensor& output_gradient_BTD, UnitGrads* grads) {
  const DeviceBlock block(ops, saved.block, saved.weights, nullptr, saved.x_BTD,
                          saved.compute_type);
  return DeviceBackward(ops, block, saved, grads).run(output_gradient_BTD);
}

}  // namespace vit22b::fused
