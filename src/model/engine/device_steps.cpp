#include <utility>

#include "kernels/attention_pair.h"
#include "model/engine/block_steps.h"

namespace vit22b::fused {
namespace {

// A tensor by name; undefined for "" or one that is not there.
at::Tensor vector_of(const NamedTensors& tensors, const std::string& name) {
  const auto it = tensors.find(name);
  return name.empty() || it == tensors.end() ? at::Tensor() : it->second;
}

// Some of a vector's values, where a linear layer's bias is a part of a wider one.
at::Tensor part_of(const at::Tensor& vector, const LinearSpec& linear) {
  return vector.defined() ? vector.narrow(0, linear.bias_first, linear.out) : vector;
}

// A block's matrices in the compute type, where its weights are kept in another.
class DevicePacked : public PackedWeights {
 public:
  DevicePacked(const NamedTensors& weights, at::ScalarType compute_type) {
    for (const auto& [name, tensor] : weights)
      if (tensor.dim() == 2 && tensor.scalar_type() != compute_type)
        matrices_[name] = tensor.to(compute_type);
  }
  // Undefined where the weight itself serves.
  at::Tensor find(const std::string& name) const { return vector_of(matrices_, name); }

 private:
  NamedTensors matrices_;
};

class DeviceSteps : public BlockSteps {
 public:
  DeviceSteps(const BlockWork& work, const DeviceOps& ops, const DevicePacked* packed)
      : w_(work),
        l_(work.block),
        ops_(ops),
        packed_(packed),
        images_(work.x_BTD.size(0)),
        tokens_(work.x_BTD.size(1)) {}

  void in(const BlockNorm& norm, const at::Tensor& x_BTD, SavedNorm*,
          const std::vector<InProduct>& wanted) override {
    at::Tensor y = input_of(norm, x_BTD.flatten(0, 1)), joint;
    if (l_.is_parallel()) {
      const LinearSpec in = l_.in_projection();
      joint = apply(in, std::exchange(y, {}), vector(in.bias));
    }
    at::Tensor gate;
    for (const InProduct& p : wanted) {
      at::Tensor product =
          l_.is_parallel() ? joint.narrow(1, p.linear->first_row, p.linear->out)
                           : apply(*p.linear, y, p.is_activated ? at::Tensor() : bias(*p.linear));
      const at::Tensor late = late_bias(*p.linear);
      if (p.is_activated) {
        if (p.pre_activation != nullptr) *p.pre_activation = product;
        product = p.is_gated ? ops_.gated_activation({product, late, gate}, l_.activation)
                             : ops_.bias_activation(product, late, l_.activation);
      } else if (l_.is_parallel() && late.defined()) {
        product = (product + late).to(w_.compute_type);
      }
      gate = product;
      p.done(std::move(product));
    }
  }

  at::Tensor attend(const at::Tensor& qkv, AttentionTape* kept) const override {
    return attention_pair_forward(split_heads(qkv), w_.sequence.mask, kept).view({-1, l_.width});
  }

  at::Tensor out(const std::vector<Factor>& factors, const Branch& branch,
                 const at::Tensor& residual_BTD, at::Tensor* kept) const override {
    at::Tensor sum = apply(*factors.back().linear, factors.back().values, bias(*branch.biased));
    for (size_t i = 0; i + 1 < factors.size(); ++i)
      sum.addmm_(factors[i].values, matrix(*factors[i].linear).t());
    if (kept != nullptr) *kept = sum;
    if (branch.norm.exists()) sum = norm(branch.norm, sum);
    return ops_.add_branch(residual_BTD.flatten(0, 1), sum, vector(branch.scale))
        .view(residual_BTD.sizes());
  }

  at::Tensor norm(const BlockNorm& norm, const at::Tensor& x_NC) const override {
    return ops_.norm(x_NC, norm_of(norm), w_.compute_type);
  }

  at::Tensor back_norm(const BlockNorm& norm, const at::Tensor& x_NC,
                       const at::Tensor& d_y_NC) const override {
    return ops_.norm_backward(d_y_NC, x_NC, norm_of(norm), at::zeros_like(x_NC, at::kFloat),
                              sums(norm));
  }

  void back_out(const at::Tensor& gradient_ND, const Branch& branch, const at::Tensor& kept,
                const std::vector<OutGradient>& wanted) override {
    const at::Tensor gradient =
        branch.norm.exists() ? back_norm(branch.norm, kept, gradient_ND) : gradient_ND;
    const at::Tensor d_branch =
        ops_.branch_backward(gradient, kept, vector(branch.scale), w_.compute_type,
                             bias_target(*branch.biased), target(branch.scale));
    for (const OutGradient& p : wanted) {
      if (!p.is_activated) {
        weight_gradient(*p.linear, d_branch, *p.input);
        p.done(input_gradient(*p.linear, d_branch));
        continue;
      }
      const at::Tensor d_hidden = empty_gradient(l_.fc1);
      const at::Tensor activation =
          activation_backward(p, input_gradient(*p.linear, d_branch), d_hidden);
      p.input->reset();
      weight_gradient(*p.linear, d_branch, activation);
      p.done(d_hidden);
    }
  }

  at::Tensor back_attend(SavedBlock& saved, const at::Tensor& d_attended) override {
    QkvHeads gradients =
        attention_pair_backward(split_heads(saved.qkv), w_.sequence.mask, saved.attention,
                                d_attended.view({images_, tokens_, l_.heads, l_.head_size()}));
    turn(gradients, w_.sequence.rotary.reversed());
    at::Tensor d_qkv = empty_gradient(l_.qkv);
    ops_.split_heads_backward(gradients, qkv_heads(saved.qkv), qk_norms(), qkv_heads(d_qkv),
                              {sums(l_.q_norm), sums(l_.k_norm)});
    saved.qkv.reset();
    saved.attended.reset();
    saved.attention = {};
    return d_qkv;
  }

  void add_bias_gradient(const LinearSpec& linear, const at::Tensor& d_output) const override {
    if (at::Tensor bias = bias_target(linear); bias.defined())
      bias.add_(d_output.sum(0, false, at::kFloat));
  }

  void back_hidden(const OutGradient& wanted, const at::Tensor& d_hidden_NM) override {
    const at::Tensor d_hidden = empty_gradient(l_.fc1);
    activation_backward(wanted, d_hidden_NM.to(w_.compute_type), d_hidden);
    wanted.input->reset();
    wanted.done(d_hidden);
  }

  at::Tensor back_in(std::vector<Factor> factors, const BlockNorm& norm, const at::Tensor& x_BTD,
                     const SavedNorm&, const at::Tensor& residual_gradient_ND) override {
    const LinearSpec joint = l_.in_projection();
    if (l_.is_parallel()) factors = {{std::exchange(joint_gradient_, {}), &joint}};
    const at::Tensor x = x_BTD.flatten(0, 1);
    at::Tensor y = input_of(norm, x);
    for (const Factor& f : factors) weight_gradient(*f.linear, f.values, y);
    y.reset();
    at::Tensor d_y = input_gradient(*factors[0].linear, factors[0].values);
    for (size_t i = 1; i < factors.size(); ++i)
      d_y.addmm_(factors[i].values, matrix(*factors[i].linear));
    if (!norm.exists()) return d_y.to(at::kFloat) + residual_gradient_ND;
    return ops_.norm_backward(d_y, x, norm_of(norm), residual_gradient_ND, sums(norm));
  }

 private:
  // What in-projections read: the norm of x, or x itself.
  at::Tensor input_of(const BlockNorm& norm, const at::Tensor& x_ND) const {
    return norm.exists() ? this->norm(norm, x_ND) : x_ND.to(w_.compute_type);
  }
  at::Tensor vector(const std::string& name) const { return vector_of(w_.weights, name); }
  at::Tensor bias(const LinearSpec& linear) const { return part_of(vector(linear.bias), linear); }
  // An in-projection's where the joint product did not add it already.
  at::Tensor late_bias(const LinearSpec& linear) const {
    return l_.is_parallel() && linear.bias == l_.qkv.bias ? at::Tensor() : bias(linear);
  }
  at::Tensor matrix(const LinearSpec& linear) const {
    const at::Tensor ready = packed_ != nullptr ? packed_->find(linear.weight) : at::Tensor();
    return (ready.defined() ? ready : w_.weights.at(linear.weight).to(w_.compute_type))
        .narrow(0, linear.first_row, linear.out);
  }
  NormSpec norm_of(const BlockNorm& norm) const {
    if (!norm.exists()) return {};
    return {vector(norm.name + ".weight"),
            norm.form.has_bias ? vector(norm.name + ".bias") : at::Tensor(), norm.form.eps,
            norm.form.is_centred};
  }
  QkNorms qk_norms() const { return {norm_of(l_.q_norm), norm_of(l_.k_norm)}; }

  at::Tensor apply(const LinearSpec& linear, const at::Tensor& x, const at::Tensor& bias) const {
    return at::linear(x, matrix(linear), bias.defined() ? bias.to(w_.compute_type) : bias);
  }
  // d_output · W
  at::Tensor input_gradient(const LinearSpec& linear, const at::Tensor& d_output) const {
    return at::mm(d_output, matrix(linear));
  }
  void weight_gradient(const LinearSpec& linear, const at::Tensor& d_output,
                       const at::Tensor& input) const {
    if (const at::Tensor weight = target(linear.weight); weight.defined())
      ops_.weight_gradient(d_output, input, w_.grads->is_overwrite,
                           weight.narrow(0, linear.first_row, linear.out));
  }
  at::Tensor bias_target(const LinearSpec& linear) const {
    return part_of(target(linear.bias), linear);
  }
  // Returns the activation again; frees the gate.
  at::Tensor activation_backward(const OutGradient& p, const at::Tensor& d_activation,
                                 const at::Tensor& d_hidden) {
    if (p.gate == nullptr)
      return ops_.activation_backward(d_activation, *p.input, late_bias(l_.fc1), l_.activation,
                                      d_hidden, bias_target(l_.fc1));
    *p.gate_gradient = empty_gradient(l_.gate);
    at::Tensor activation = ops_.gated_backward(
        d_activation, {*p.input, late_bias(l_.fc1), *p.gate}, l_.activation,
        {d_hidden, *p.gate_gradient, bias_target(l_.fc1), bias_target(l_.gate)});
    p.gate->reset();
    return activation;
  }

  // Of an in-projection's output; of the parallel block's two, columns of one matrix.
  at::Tensor empty_gradient(const LinearSpec& linear) {
    const auto empty = [&](int64_t columns) {
      return at::empty({images_ * tokens_, columns}, w_.x_BTD.options().dtype(w_.compute_type));
    };
    if (!l_.is_parallel()) return empty(linear.out);
    if (!joint_gradient_.defined()) joint_gradient_ = empty(l_.in_projection().out);
    return joint_gradient_.narrow(1, linear.first_row, linear.out);
  }

  // Rows of tokens as heads of a batch, [B, T, 3, H, K].
  at::Tensor qkv_heads(const at::Tensor& qkv) const {
    return qkv.unflatten(1, {3, l_.heads, l_.head_size()}).unflatten(0, {images_, tokens_});
  }
  QkvHeads split_heads(const at::Tensor& qkv) const {
    QkvHeads heads = ops_.split_heads(qkv_heads(qkv), qk_norms());
    turn(heads, w_.sequence.rotary);
    return heads;
  }
  static void turn(QkvHeads& heads, const RotaryTables& rotary) {
    heads.q = rotate(heads.q, rotary, 1);
    heads.k = rotate(heads.k, rotary, 1);
  }

  at::Tensor target(const std::string& name) const {
    return w_.grads == nullptr ? at::Tensor() : vector_of(w_.grads->tensors, name);
  }
  NormSums sums(const BlockNorm& norm) const {
    if (!norm.exists()) return {};
    return {target(norm.name + ".weight"), target(norm.name + ".bias")};
  }

  const BlockWork w_;
  const BlockSpec& l_;
  const DeviceOps& ops_;
  const DevicePacked* packed_;
  const int64_t images_, tokens_;
  at::Tensor joint_gradient_;  // of in_projection, [B * T, ...]
};

}  // namespace

std::unique_ptr<BlockSteps> make_device_steps(const BlockWork& work, const DeviceOps& ops,
                                              const PackedWeights* packed) {
  return std::make_unique<DeviceSteps>(work, ops, dynamic_cast<const DevicePacked*>(packed));
}

std::unique_ptr<PackedWeights> pack_for_device(const NamedTensors& weights,
                                               at::ScalarType compute_type) {
  return std::make_unique<DevicePacked>(weights, compute_type);
}

}  // namespace vit22b::fused
