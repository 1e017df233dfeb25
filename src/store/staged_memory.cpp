#include "store/staged_memory.h"

#include <ATen/ATen.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace vit22b {

StagedMemory::StagedMemory(c10::Device device, int64_t bytes)
    : device_(device),
      host_(at::empty({bytes}, at::TensorOptions(at::kByte).pinned_memory(!device.is_cpu()))),
      on_device_(at::empty({bytes}, at::TensorOptions(at::kByte).device(device))) {
  if (device.is_cpu()) return;
  copies_ = c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
  used_.emplace(device.type());
  copied_.emplace(device.type());
}

void StagedMemory::begin() {
  if (used_) used_->record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
}

void StagedMemory::host_is_free() const {
  if (copied_ && has_copied_) copied_->synchronize();
}

void StagedMemory::copy() {
  if (!copies_) {
    on_device_.copy_(host_);
    return;
  }
  const c10::StreamGuard guard(*copies_);
  used_->block(*copies_);
  on_device_.copy_(host_, /*non_blocking=*/true);
  copied_->record(*copies_);
  has_copied_ = true;
}

void StagedMemory::wait() const {
  if (copied_) copied_->block(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
}

}  // namespace vit22b
