#include <utility>

#include "model/engine/block_steps.h"

namespace vit22b::fused {
namespace {

class Forward {
 public:
  Forward(const BlockSpec& block, BlockSteps& steps, const at::Tensor& x_BTD, SavedBlock* saved,
          const std::set<std::string>& trained)
      : l_(block), steps_(steps), x_BTD_(x_BTD.contiguous()), saved_(saved), trained_(trained) {}

  at::Tensor run(bool is_output_wanted) {
    if (saved_ != nullptr) saved_->x_BTD = x_BTD_;
    std::vector<InProduct> wanted = {queries_keys_values()};
    if (l_.is_parallel()) add_hidden(wanted);
    steps_.in(l_.norm1, x_BTD_, place(&SavedBlock::norm1), wanted);
    at::Tensor residual = x_BTD_;
    if (!l_.is_parallel()) {
      residual = add_branch({{attended_, &l_.proj}}, {&l_.proj, l_.scale1, l_.out_norm1}, x_BTD_,
                            &SavedBlock::branch1);
      if (saved_ != nullptr) saved_->middle = residual;
      wanted.clear();
      add_hidden(wanted);
      steps_.in(l_.norm2, residual, place(&SavedBlock::norm2), wanted);
    }
    if (!is_output_wanted && !is_branch_kept(l_.scale2, l_.out_norm2)) return {};
    std::vector<Factor> factors = {{activation_, &l_.fc2}};
    if (l_.is_parallel()) factors.push_back({attended_, &l_.proj});
    return add_branch(factors, {&l_.fc2, l_.scale2, l_.out_norm2}, residual, &SavedBlock::branch2);
  }

 private:
  template <typename Kept>
  Kept* place(Kept SavedBlock::*member) const {
    return saved_ != nullptr ? &(saved_->*member) : nullptr;
  }

  InProduct queries_keys_values() {
    return {.linear = &l_.qkv, .done = [this](at::Tensor qkv) {
              attended_ =
                  steps_.attend(widely_normed(l_, steps_, qkv), place(&SavedBlock::attention));
              if (saved_ != nullptr) {
                saved_->qkv = std::move(qkv);
                saved_->attended = attended_;
              }
              if (l_.attn_norm.exists()) attended_ = steps_.norm(l_.attn_norm, attended_);
            }};
  }

  void add_hidden(std::vector<InProduct>& wanted) {
    if (l_.is_gated())
      wanted.push_back({.linear = &l_.gate, .done = [this](at::Tensor gate) {
                          if (saved_ != nullptr) saved_->gate = std::move(gate);
                        }});
    wanted.push_back({.linear = &l_.fc1,
                      .is_activated = true,
                      .is_gated = l_.is_gated(),
                      .pre_activation = place(&SavedBlock::pre_activation),
                      .done = [this](at::Tensor activation) {
                        activation_ = std::move(activation);
                        if (!l_.mlp_norm.exists()) return;
                        if (saved_ != nullptr) saved_->hidden = activation_;
                        activation_ = steps_.norm(l_.mlp_norm, activation_);
                      }});
  }

  at::Tensor add_branch(const std::vector<Factor>& factors, const Branch& branch,
                        const at::Tensor& residual, at::Tensor SavedBlock::*kept) const {
    return steps_.out(factors, branch, residual,
                      is_branch_kept(branch.scale, branch.norm) ? place(kept) : nullptr);
  }

  bool is_branch_kept(const std::string& scale, const BlockNorm& norm) const {
    return trained_.count(scale) != 0 || norm.exists();
  }

  const BlockSpec& l_;
  BlockSteps& steps_;
  const at::Tensor x_BTD_;
  SavedBlock* saved_;
  const std::set<std::string>& trained_;
  at::Tensor attended_, activation_;
};

}  // namespace

at::Tensor widely_normed(const BlockSpec& block, const BlockSteps& steps, const at::Tensor& qkv) {
  if (!block.has_wide_norms()) return qkv;
  const at::Tensor q = qkv.narrow(1, 0, block.width), k = qkv.narrow(1, block.width, block.width),
                   v = qkv.narrow(1, 2 * block.width, block.width);
  return at::cat({steps.norm(block.q_wide, q).to(qkv.scalar_type()),
                  steps.norm(block.k_wide, k).to(qkv.scalar_type()), v},
                 1);
}

at::Tensor forward(const BlockSpec& block, BlockSteps& steps, const at::Tensor& x_BTD,
                   SavedBlock* saved, const std::set<std::string>& trained, bool is_output_wanted) {
  return Forward(block, steps, x_BTD, saved, trained).run(is_output_wanted);
}

}  // namespace vit22b::fused
