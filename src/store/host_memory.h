#pragma once
#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <map>
#include <optional>

#include "store/state_memory.h"

namespace vit22b {

/// The host's memory for what a GPU computes with: pinned, copied there by a stream of its own and
/// back by another, beside the one that computes. Nothing waits but the streams for each other, and
/// settle(). On the CPU copies are plain ones, for tests of the rest.
class HostMemory : public StateMemory {
 public:
  explicit HostMemory(c10::Device device);

  at::Tensor zeros(at::IntArrayRef shape, at::ScalarType dtype) override;
  void will_need(const at::Tensor& tensor) override;
  at::Tensor in_use(const at::Tensor& tensor) override;
  void put_back(const at::Tensor& tensor) override;
  void release(const at::Tensor& tensor) override;
  void settle() override;
  bool is_keeping() const override { return false; }

  /// Bytes taken from the host, with what is left over of the last piece.
  int64_t taken_bytes() const { return taken_bytes_; }

 private:
  struct Copy {
    at::Tensor on_device;               ///< undefined: none
    std::optional<c10::Event> arrived;  ///< of a GPU; unset once the computing stream waits for it
    std::optional<c10::Event> left;     ///< what was put back last
  };
  Copy* find(const at::Tensor& tensor);
  void start(Copy& copy, const at::Tensor& tensor);
  c10::Stream computing() const;

  c10::Device device_;
  std::optional<c10::Stream> in_, out_;  ///< of a GPU
  at::Tensor piece_;                     ///< of which tensors are cut
  int64_t used_of_piece_ = 0, taken_bytes_ = 0;
  std::map<const void*, Copy> copies_;  ///< one for each tensor that lies here
};

}  // namespace vit22b
