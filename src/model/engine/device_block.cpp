#include "model/engine/device_block.h"

namespace vit22b::fused {
namespace {

at::Tensor vector_of(const NamedTensors& tensors, const std::string& name) {
  const auto it = tensors.find(name);
  return name.empty() || it == tensors.end() ? at::Tensor() : it->second;
}

// A linear layer's vector where it is a part of a wider one.
at::Tensor part(const at::Tensor& vector, int64_t first, int64_t count) {
  return vector.defined() ? vector.narrow(0, first, count) : vector;
}

// What both passes read of a block.
class DeviceBlock {
 public:
  DeviceBlock(const DeviceOps& ops, const ViTConfig& config, const NamedTensors& weights,
              const DevicePacked* packed, const at::Tensor& x_BTD)
      : ops_(ops),
        layout(config, weights),
        weights_(weights),
        packed_(packed),
        type(x_BTD.scalar_type()),
        images(x_BTD.size(0)),
        tokens(x_BTD.size(1)) {}

  at::Tensor matrix(const Linear& linear) const {
    const at::Tensor ready = packed_ != nullptr ? packed_->find(linear.weight) : at::Tensor();
    return ready.defined() ? ready : weights_.at(linear.weight).to(type);
  }
  at::Tensor vector(const std::string& name) const { return vector_of(weights_, name); }
  at::Tensor bias(const Linear& linear) const {
    return part(vector(linear.bias), linear.bias_first, linear.out);
  }
  NormSpec norm(const std::string& name) const {
    if (name.empty()) return {};
    return {vector(name + ".weight"), vector(name + ".bias"), static_cast<double>(layout.norm_eps),
            layout.is_centred};
  }
  at::Tensor apply(const Linear& linear, const at::Tensor& x, const at::Tensor& bias) const {
    return at::linear(x, matrix(linear), bias.defined() ? bias.to(type) : bias);
  }

  // A matrix whose rows are tokens, as heads of a batch.
  at::Tensor qkv_heads(const at::Tensor& qkv_NQ) const {
    return qkv_NQ.unflatten(1, {3, layout.heads, layout.width / layout.heads})
        .unflatten(0, {images, tokens});
  }
  at::Tensor heads(const at::Tensor& rows_ND) const {
    return rows_ND.view({images, tokens, layout.heads, layout.width / layout.heads});
  }
  QkvHeads split_heads(const at::Tensor& qkv_NQ) const {
    return ops_.split_heads(qkv_heads(qkv_NQ), norm(layout.q_norm), norm(layout.k_norm));
  }
  bool is_tanh() const { return layout.gelu == cpu::Gelu::kTanh; }
  // The MLP's bias where the projection did not add it already.
  at::Tensor gelu_bias() const {
    return layout.is_parallel && !layout.qkv.bias.empty() ? at::Tensor() : bias(layout.fc1);
  }
  // The parallel block's whole in-projection.
  Linear in_projection() const {
    const int64_t out = layout.fc1.out + layout.qkv.out;
    return {layout.fc1.weight, layout.qkv.bias, 0, 0, out, layout.width};
  }

 private:
  const DeviceOps& ops_;

 public:
  const BlockLayout layout;

 private:
  const NamedTensors& weights_;
  const DevicePacked* packed_;

 public:
  const at::ScalarType type;
  const int64_t images, tokens;
};

class DeviceForward {
 public:
  DeviceForward(const DeviceOps& ops, const DeviceBlock& block, const at::Tensor& x_BTD,
                SavedDeviceBlock* saved, const std::set<std::string>& trained)
      : ops_(ops),
        b_(block),
        l_(block.layout),
        x_BTD_(x_BTD.contiguous()),
        saved_(saved),
        trained_(trained) {}

  at::Tensor run() {
    if (saved_ != nullptr) saved_->x_BTD = x_BTD_;
    const at::Tensor x = x_BTD_.flatten(0, 1);
    return (l_.is_parallel ? parallel(x) : serial(x)).view(x_BTD_.sizes());
  }

 private:
  at::Tensor parallel(const at::Tensor& x) {
    const Linear in = b_.in_projection();
    const at::Tensor projected = b_.apply(in, ops_.norm(x, b_.norm(l_.norm1)), b_.vector(in.bias));
    const at::Tensor activation = activate(projected.narrow(1, 0, l_.hidden));
    at::Tensor branch =
        b_.apply(l_.proj, attend(projected.narrow(1, l_.hidden, l_.qkv.out)), b_.bias(l_.fc2));
    branch.addmm_(activation, b_.matrix(l_.fc2).t());
    keep(l_.scale2, branch, &SavedDeviceBlock::branch2);
    return ops_.add_branch(x, branch, b_.vector(l_.scale2));
  }

  at::Tensor serial(const at::Tensor& x) {
    const at::Tensor qkv = b_.apply(l_.qkv, ops_.norm(x, b_.norm(l_.norm1)), b_.bias(l_.qkv));
    const at::Tensor branch1 = b_.apply(l_.proj, attend(qkv), b_.bias(l_.proj));
    keep(l_.scale1, branch1, &SavedDeviceBlock::branch1);
    const at::Tensor middle = ops_.add_branch(x, branch1, b_.vector(l_.scale1));
    if (saved_ != nullptr) saved_->middle = middle;
    const at::Tensor pre = b_.apply(l_.fc1, ops_.norm(middle, b_.norm(l_.norm2)), {});
    const at::Tensor branch2 = b_.apply(l_.fc2, activate(pre), b_.bias(l_.fc2));
    keep(l_.scale2, branch2, &SavedDeviceBlock::branch2);
    return ops_.add_branch(middle, branch2, b_.vector(l_.scale2));
  }

  at::Tensor attend(const at::Tensor& qkv_NQ) {
    if (saved_ != nullptr) saved_->qkv_NQ = qkv_NQ;
    return attention_pair_forward(b_.split_heads(qkv_NQ),
                                  saved_ != nullptr ? &saved_->attention : nullptr)
        .view({-1, l_.width});
  }

  at::Tensor activate(const at::Tensor& pre_NM) {
    if (saved_ != nullptr) saved_->pre_NM = pre_NM;
    return ops_.bias_gelu(pre_NM, b_.gelu_bias(), b_.is_tanh());
  }

  void keep(const std::string& scale, const at::Tensor& branch,
            at::Tensor SavedDeviceBlock::*place) {
    if (saved_ != nullptr && trained_.count(scale) != 0) saved_->*place = branch;
  }

  const DeviceOps& ops_;
  const DeviceBlock& b_;
  const BlockLayout& l_;
  const at::Tensor x_BTD_;
  SavedDeviceBlock* saved_;
  const std::set<std::string>& trained_;
};

// Gradients of the residual stream, the vectors and the weights are float32, the others of the
// compute type. What the forward pass kept is freed as it has been used.
class DeviceBackward {
 public:
  DeviceBackward(const DeviceOps& ops, const DeviceBlock& block, SavedDeviceBlock& saved,
                 UnitGrads* grads)
      : ops_(ops), b_(block), l_(block.layout), s_(saved), grads_(grads) {
    if (grads_ != nullptr && grads_->is_overwrite)
      for (auto& [name, tensor] : grads_->tensors)
        if (tensor.dim() == 1) tensor.zero_();  // vectors are summed into, matrices overwritten
  }

  at::Tensor run(const at::Tensor& output_gradient_BTD) {
    const at::Tensor g = output_gradient_BTD.to(at::kFloat).reshape({-1, l_.width}).contiguous();
    const at::Tensor x = s_.x_BTD.flatten(0, 1);
    return (l_.is_parallel ? parallel(g, x) : serial(g, x)).view(s_.x_BTD.sizes());
  }

 private:
  at::Tensor parallel(const at::Tensor& g, const at::Tensor& x) {
    const Linear in = b_.in_projection();
    const at::Tensor d_branch = branch_backward(g, s_.branch2, l_.scale2, l_.fc2);
    at::Tensor d_projected = at::empty({x.size(0), in.out}, x.options());
    mlp_backward(d_branch, d_projected.narrow(1, 0, l_.hidden));
    attention_backward(d_branch, d_projected.narrow(1, l_.hidden, l_.qkv.out));
    weight_gradient(in, d_projected, ops_.norm(x, b_.norm(l_.norm1)));
    return norm_backward(l_.norm1, input_gradient(in, d_projected), x, g);
  }

  at::Tensor serial(const at::Tensor& g, const at::Tensor& x) {
    const at::Tensor d_branch2 = branch_backward(g, s_.branch2, l_.scale2, l_.fc2);
    at::Tensor d_pre = at::empty_like(s_.pre_NM);
    mlp_backward(d_branch2, d_pre);
    weight_gradient(l_.fc1, d_pre, ops_.norm(s_.middle, b_.norm(l_.norm2)));
    const at::Tensor d_middle =
        norm_backward(l_.norm2, input_gradient(l_.fc1, d_pre), s_.middle, g);
    const at::Tensor d_branch1 = branch_backward(d_middle, s_.branch1, l_.scale1, l_.proj);
    at::Tensor d_qkv = at::empty({x.size(0), l_.qkv.out}, x.options());
    attention_backward(d_branch1, d_qkv);
    weight_gradient(l_.qkv, d_qkv, ops_.norm(x, b_.norm(l_.norm1)));
    return norm_backward(l_.norm1, input_gradient(l_.qkv, d_qkv), x, d_middle);
  }

  at::Tensor branch_backward(const at::Tensor& g, const at::Tensor& branch,
                             const std::string& scale, const Linear& linear) {
    return ops_.branch_backward(g, branch, b_.vector(scale), b_.type, bias_target(linear),
                                target(scale));
  }

  void mlp_backward(const at::Tensor& d_branch, const at::Tensor& d_pre) {
    const at::Tensor activation =
        ops_.gelu_backward(input_gradient(l_.fc2, d_branch), s_.pre_NM, b_.gelu_bias(),
                           b_.is_tanh(), d_pre, bias_target(l_.fc1));
    s_.pre_NM.reset();
    weight_gradient(l_.fc2, d_branch, activation);
  }

  void attention_backward(const at::Tensor& d_branch, const at::Tensor& d_qkv) {
    weight_gradient(l_.proj, d_branch, s_.attention.out_BTHK.view({-1, l_.width}));
    const at::Tensor d_attended = b_.heads(input_gradient(l_.proj, d_branch));
    const QkvHeads gradients =
        attention_pair_backward(b_.split_heads(s_.qkv_NQ), s_.attention, d_attended);
    ops_.split_heads_backward(gradients, b_.qkv_heads(s_.qkv_NQ), b_.norm(l_.q_norm),
                              b_.norm(l_.k_norm), b_.qkv_heads(d_qkv), sums(l_.q_norm),
                              sums(l_.k_norm));
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
  at::Tensor input_gradient(const Linear& linear, const at::Tensor& d_output) const {
    return at::mm(d_output, b_.matrix(linear));
  }

  void weight_gradient(const Linear& linear, const at::Tensor& d_output, const at::Tensor& input) {
    if (const at::Tensor weight = target(linear.weight); weight.defined())
      ops_.weight_gradient(d_output, input, grads_->is_overwrite, weight);
  }

  at::Tensor target(const std::string& name) const {
    return grads_ == nullptr ? at::Tensor() : vector_of(grads_->tensors, name);
  }
  at::Tensor bias_target(const Linear& linear) const {
    return part(target(linear.bias), linear.bias_first, linear.out);
  }
  NormSums sums(const std::string& name) const {
    if (name.empty()) return {};
    return {target(name + ".weight"), target(name + ".bias")};
  }

  const DeviceOps& ops_;
  const DeviceBlock& b_;
  const BlockLayout& l_;
  SavedDeviceBlock& s_;
  UnitGrads* grads_;
};

}  // namespace

DevicePacked::DevicePacked(const NamedTensors& weights, at::ScalarType compute_type) {
  for (const auto& [name, tensor] : weights)
    if (tensor.dim() == 2 && tensor.scalar_type() != compute_type)
      matrices_[name] = tensor.to(compute_type);
}

at::Tensor DevicePacked::find(const std::string& name) const {
  return vector_of(matrices_, name);
}

at::Tensor device_forward(const DeviceOps& ops, const ViTConfig& config,
                          const NamedTensors& weights, const DevicePacked* packed,
                          const at::Tensor& x_BTD, SavedDeviceBlock* saved,
                          const std::set<std::string>& trained) {
  if (saved != nullptr) {
    saved->config = &config;
    saved->weights = weights;
  }
  const DeviceBlock block(ops, config, weights, packed, x_BTD);
  return DeviceForward(ops, block, x_BTD, saved, trained).run();
}

at::Tensor device_backward(const DeviceOps& ops, SavedDeviceBlock& saved,
                           const at::Tensor& output_gradient_BTD, UnitGrads* grads) {
  const DeviceBlock block(ops, *saved.config, saved.weights, nullptr, saved.x_BTD);
  return DeviceBackward(ops, block, saved, grads).run(output_gradient_BTD);
}

}  // namespace vit22b::fused
