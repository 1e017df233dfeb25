#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <optional>

namespace vit22b {

/// Bytes on a device that are filled through host memory: pinned, and copied by a stream of their
/// own beside the one that computes. On the CPU the copy is a plain one, for tests of the rest.
///
/// Two threads: one computes (begin, wait), the other fills (host_is_free, copy).
class StagedMemory {
 public:
  StagedMemory(c10::Device device, int64_t bytes);

  const at::Tensor& host() const { return host_; }
  const at::Tensor& on_device() const { return on_device_; }

  /// Computing thread: what it has launched so far may read what is on the device; a copy comes
  /// after that.
  void begin();
  /// Filling thread: waits until the host memory's last copy has left.
  void host_is_free() const;
  /// Filling thread: starts the copy of all bytes.
  void copy();
  /// Computing thread: what it launches from now on comes after the copy.
  void wait() const;

 private:
  c10::Device device_;
  at::Tensor host_, on_device_;
  std::optional<c10::Stream> copies_;        ///< of a GPU
  std::optional<c10::Event> used_, copied_;  ///< of a GPU
  bool has_copied_ = false;
};

}  // namespace vit22b
