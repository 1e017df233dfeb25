#include "store/host_memory.h"

#include <ATen/ATen.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <bit>

namespace vit22b {
namespace {

constexpr int64_t kAlignment = 256;
// libtorch rounds pinned memory up to a power of two, which a tensor alone may nearly double.
// Pieces are such powers; they grow with what is held, so that a small model takes little.
constexpr int64_t kSmallestPiece = int64_t{1} << 20, kLargestPiece = int64_t{4} << 30;

int64_t power_of_two(int64_t bytes) {
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(bytes)));
}

}  // namespace

HostMemory::HostMemory(c10::Device device) : device_(device) {
  if (device.is_cpu()) return;
  const c10::impl::VirtualGuardImpl guard(device.type());
  in_ = guard.getStreamFromGlobalPool(device);
  out_ = guard.getStreamFromGlobalPool(device);
}

c10::Stream HostMemory::computing() const {
  return c10::impl::VirtualGuardImpl(device_.type()).getStream(device_);
}

at::Tensor HostMemory::zeros(at::IntArrayRef shape, at::ScalarType dtype) {
  const int64_t bytes =
      c10::multiply_integers(shape) * static_cast<int64_t>(c10::elementSize(dtype));
  const int64_t room = (std::max<int64_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
  if (!piece_.defined() || used_of_piece_ + room > piece_.numel()) {
    const int64_t size =
        std::max(power_of_two(room), std::clamp(power_of_two(std::max<int64_t>(taken_bytes_, 1)),
                                                kSmallestPiece, kLargestPiece));
    piece_ = at::empty({size}, at::TensorOptions(at::kByte).pinned_memory(!device_.is_cpu()));
    used_of_piece_ = 0;
    taken_bytes_ += size;
  }
  at::Tensor tensor = piece_.narrow(0, used_of_piece_, bytes).view(dtype).view(shape).zero_();
  copies_[piece_.narrow(0, used_of_piece_, 1).const_data_ptr()];
  used_of_piece_ += room;
  return tensor;
}

HostMemory::Copy* HostMemory::find(const at::Tensor& tensor) {
  const auto it = copies_.find(tensor.const_data_ptr());
  return it == copies_.end() ? nullptr : &it->second;
}

void HostMemory::start(Copy& copy, const at::Tensor& tensor) {
  copy.on_device = at::empty(tensor.sizes(), tensor.options().device(device_).pinned_memory(false));
  if (!in_) {
    copy.on_device.copy_(tensor);
    return;
  }
  // The allocator's memory may still be read by what has been launched.
  c10::Event launched(device_.type());
  launched.record(computing());
  launched.block(*in_);
  if (copy.left) copy.left->block(*in_);
  const c10::StreamGuard guard(*in_);
  copy.on_device.copy_(tensor, /*non_blocking=*/true);
  copy.on_device.record_stream(*in_);
  copy.arrived.emplace(device_.type()).record(*in_);
}

void HostMemory::will_need(const at::Tensor& tensor) {
  if (Copy* const copy = find(tensor); copy != nullptr && !copy->on_device.defined())
    start(*copy, tensor);
}

at::Tensor HostMemory::in_use(const at::Tensor& tensor) {
  if (tensor.numel() == 0) return tensor.to(device_);
  Copy* const copy = find(tensor);
  if (copy == nullptr) return tensor;
  if (!copy->on_device.defined()) start(*copy, tensor);
  if (copy->arrived) copy->arrived->block(computing());
  copy->arrived.reset();
  return copy->on_device;
}

void HostMemory::put_back(const at::Tensor& tensor) {
  Copy* const copy = find(tensor);
  if (copy == nullptr || !copy->on_device.defined()) return;
  if (!out_) {
    tensor.copy_(copy->on_device);
    return;
  }
  c10::Event changed(device_.type());
  changed.record(computing());
  changed.block(*out_);
  const c10::StreamGuard guard(*out_);
  tensor.copy_(copy->on_device, /*non_blocking=*/true);
  copy->on_device.record_stream(*out_);
  copy->left.emplace(device_.type()).record(*out_);
}

void HostMemory::release(const at::Tensor& tensor) {
  Copy* const copy = find(tensor);
  if (copy == nullptr) return;
  copy->on_device.reset();
  copy->arrived.reset();
}

void HostMemory::settle() {
  if (out_) out_->synchronize();
  for (auto& [place, copy] : copies_) {
    copy.on_device.reset();
    copy.arrived.reset();
  }
}

}  // namespace vit22b
