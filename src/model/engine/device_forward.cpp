#include "model/engine/device_block.h"

namespace vit22b::fused {
namespace {

class DeviceForward {
 public:
  DeviceForward(const DeviceOps& ops, const DeviceBlock& block, const at::Tensor& x_BTD,
                SavedDeviceBlock* saved, const std::set<std::string>& trained)
      : ops_(ops),
        b_(block),
        l_(block.block()),
        x_BTD_(x_BTD.contiguous()),
        saved_(saved),
        trained_(trained) {}

  at::Tensor run() {
    if (saved_ != nullptr) saved_->x_BTD = x_BTD_;
    const at::Tensor x = x_BTD_.flatten(0, 1);
    return (l_.is_parallel() ? parallel(x) : serial(x)).view(x_BTD_.sizes());
  }

 private:
  at::Tensor parallel(const at::Tensor& x) {
    const LinearSpec in = l_.in_projection();
    const at::Tensor projected = b_.apply(in, b_.normalised(l_.norm1, x), b_.vector(in.bias));
    const at::Tensor activation = activate(projected.narrow(1, 0, l_.hidden));
    at::Tensor branch =
        b_.apply(l_.proj, attend(projected.narrow(1, l_.hidden, l_.qkv.out)), b_.bias(l_.fc2));
    branch.addmm_(activation, b_.matrix(l_.fc2).t());
    keep(l_.scale2, branch, &SavedDeviceBlock::branch2);
    return ops_.add_branch(x, branch, b_.vector(l_.scale2));
  }

  at::Tensor serial(const at::Tensor& x) {
    const at::Tensor qkv = b_.apply(l_.qkv, b_.normalised(l_.norm1, x), b_.bias(l_.qkv));
    const at::Tensor branch1 = b_.apply(l_.proj, attend(qkv), b_.bias(l_.proj));
    keep(l_.scale1, branch1, &SavedDeviceBlock::branch1);
    const at::Tensor middle = ops_.add_branch(x, branch1, b_.vector(l_.scale1));
    if (saved_ != nullptr) saved_->middle = middle;
    const at::Tensor pre = b_.apply(l_.fc1, b_.normalised(l_.norm2, middle), {});
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
    return ops_.bias_activation(pre_NM, b_.gelu_bias(), l_.activation);
  }

  void keep(const std::string& scale, const at::Tensor& branch,
            at::Tensor SavedDeviceBlock::*place) {
    if (saved_ != nullptr && trained_.count(scale) != 0) saved_->*place = branch;
  }

  const DeviceOps& ops_;
  const DeviceBlock& b_;
  const BlockSpec& l_;
  const at::Tensor x_BTD_;
  SavedDeviceBlock* saved_;
  const std::set<std::string>& trained_;
};

}  // namespace

at::Tensor device_forward(const DeviceOps& ops, const DeviceBlock& block, const at::Tensor& x_BTD,
                          SavedDeviceBlock* saved, const std::set<std::string>& trained) {
  return DeviceForward(ops, block, x_BTD, saved, trained).run();
}

}  // namespace vit22b::fused
