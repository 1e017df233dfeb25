#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace vit22b {

/// Where inputs of recomputed blocks wait for the backward pass, away from the device that
/// computes.
class BlockInputs {
 public:
  virtual ~BlockInputs() = default;
  /// Keeps a block's input; the tensor may go.
  virtual void put(int64_t block, const at::Tensor& input_BTD) = 0;
  /// The block's input is taken soon: reading it may begin.
  virtual void prefetch(int64_t) {}
  /// What was put last for a block, on its device.
  virtual at::Tensor take(int64_t block) = 0;
};

}  // namespace vit22b
