#pragma once
#include <ATen/core/Tensor.h>

#include <string>

namespace vit22b {

/// What ranks of one mesh axis do together. One process has the `self` communicator, whose
/// operations are identities.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int64_t rank() const = 0;
  virtual int64_t size() const = 0;
  /// Adds a tensor over all ranks, in place.
  virtual void all_reduce_sum_(at::Tensor& tensor) = 0;
  /// Element-wise maximum over all ranks, in place.
  virtual void all_reduce_max_(at::Tensor& tensor) = 0;
  /// Gives every rank the text of rank `root`.
  virtual std::string broadcast(const std::string& text, int64_t root) = 0;
  virtual void barrier() = 0;
};

/// The communicator of a single process.
class SelfCommunicator : public Communicator {
 public:
  int64_t rank() const override { return 0; }
  int64_t size() const override { return 1; }
  void all_reduce_sum_(at::Tensor&) override {}
  void all_reduce_max_(at::Tensor&) override {}
  std::string broadcast(const std::string& text, int64_t) override { return text; }
  void barrier() override {}
};

}  // namespace vit22b
