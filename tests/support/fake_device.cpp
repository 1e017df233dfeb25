#include "support/fake_device.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace vit22b::test {

at::Tensor host_view(const at::Tensor& tensor) {
  if (tensor.is_cpu()) return tensor;
  // The view keeps the memory.
  return at::from_blob(
      tensor.mutable_data_ptr(), tensor.sizes(), tensor.strides(), [tensor](void*) {},
      at::TensorOptions(tensor.scalar_type()));
}

namespace {

constexpr c10::DeviceIndex kDevices = 2;
constexpr size_t kAlignment = 64;
constexpr c10::DispatchKeySet kKeys(c10::DispatchKey::PrivateUse1);

thread_local c10::DeviceIndex current_device = 0;
thread_local bool is_on_device = false;  // what the device does by itself is no wait
std::atomic<int64_t> waits{0};

void release(void* memory) {
  std::free(memory);  // NOLINT(cppcoreguidelines-no-malloc): of aligned_alloc
}

class FakeAllocator : public c10::Allocator {
 public:
  explicit FakeAllocator(bool is_devices) : is_on_device_(is_devices) {}
  c10::DataPtr allocate(size_t bytes) override {
    const c10::Device device = is_on_device_ ? fake_device(current_device) : c10::Device(at::kCPU);
    if (bytes == 0) return {nullptr, device};
    void* memory =
        std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
    if (memory == nullptr) throw std::bad_alloc();
    return {memory, memory, &release, device};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }

 private:
  bool is_on_device_;
};
FakeAllocator device_memory(true), pinned_memory(false);

/// One stream a device: what is launched is done at once.
struct FakeGuard final : public c10::impl::DeviceGuardImplInterface {
  FakeGuard() = default;
  explicit FakeGuard(c10::DeviceType) {}
  c10::DeviceType type() const override { return at::kPrivateUse1; }
  c10::Device exchangeDevice(c10::Device to) const override {
    const c10::Device old = getDevice();
    setDevice(to);
    return old;
  }
  c10::Device getDevice() const override { return fake_device(current_device); }
  void setDevice(c10::Device to) const override { current_device = to.index(); }
  void uncheckedSetDevice(c10::Device to) const noexcept override { current_device = to.index(); }
  c10::Stream getStream(c10::Device device) const override {
    return c10::Stream(c10::Stream::DEFAULT, device);
  }
  c10::Stream getStreamFromGlobalPool(c10::Device device, bool) const override {
    return c10::Stream(c10::Stream::DEFAULT, device);
  }
  c10::Stream exchangeStream(c10::Stream stream) const override { return stream; }
  void record(void**, const c10::Stream&, c10::DeviceIndex, c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void destroyEvent(void*, c10::DeviceIndex) const noexcept override {}
  void synchronizeEvent(void*) const override { ++waits; }
  void synchronizeStream(const c10::Stream&) const override { ++waits; }
  void synchronizeDevice(c10::DeviceIndex) const override { ++waits; }
  bool queryStream(const c10::Stream&) const override { return true; }
  void recordDataPtrOnStream(const c10::DataPtr&, const c10::Stream&) const override {}
  c10::DeviceIndex deviceCount() const noexcept override { return kDevices; }
};

struct FakeHooks final : public at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return kDevices; }
  bool isPinnedPtr(const void*) const override { return false; }
  c10::Allocator* getPinnedMemoryAllocator() const override { return &pinned_memory; }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override {
    static const at::Generator kGenerator = at::detail::createCPUGenerator();
    return kGenerator;
  }
};
FakeHooks hooks;

at::Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> type,
                 std::optional<at::Layout>, std::optional<at::Device> device, std::optional<bool>,
                 std::optional<at::MemoryFormat> format) {
  const c10::OptionalDeviceGuard guard(device);
  return at::detail::empty_generic(size, &device_memory, kKeys, type.value_or(at::kFloat), format);
}

at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride,
                         std::optional<at::ScalarType> type, std::optional<at::Layout>,
                         std::optional<at::Device> device, std::optional<bool>) {
  const c10::OptionalDeviceGuard guard(device);
  return at::detail::empty_strided_generic(size, stride, &device_memory, kKeys,
                                           type.value_or(at::kFloat));
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool is_asynchronous) {
  if (from.device() != to.device() && !is_asynchronous && !is_on_device) ++waits;
  host_view(to).copy_(host_view(from));
  return to;
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  if (from.sizes() != to.sizes()) {  // an output that had no size yet
    const at::Tensor fresh = at::empty(from.sizes(), to.options());
    to.unsafeGetTensorImpl()->set_storage_keep_dtype(fresh.storage());
    to.unsafeGetTensorImpl()->set_sizes_contiguous(from.sizes());
  }
  host_view(to).copy_(host_view(from));
  return to;
}

void record_stream(at::Tensor&, at::Stream) {}

at::Scalar local_scalar(const at::Tensor& tensor) {
  if (!is_on_device) ++waits;
  return host_view(tensor).item();
}

at::Tensor as_strided(const at::Tensor& tensor, at::IntArrayRef size, at::IntArrayRef stride,
                      std::optional<int64_t> offset) {
  return at::native::as_strided_tensorimpl(tensor, size, stride, offset);
}

at::Tensor& set_storage(at::Tensor& tensor, c10::Storage storage, int64_t offset,
                        at::IntArrayRef size, at::IntArrayRef stride) {
  return at::native::set_storage_cpu_(tensor, std::move(storage), offset, size, stride);
}

// What a GPU refuses: tensors of several places, but for numbers of the host.
void check_places(const c10::OperatorHandle& op, const torch::jit::Stack& stack) {
  std::optional<c10::Device> place;
  const auto check = [&](const at::Tensor& tensor) {
    if (!tensor.defined() || (tensor.is_cpu() && tensor.dim() == 0)) return;
    TORCH_CHECK(!place || *place == tensor.device(), op.schema().name(), ": tensors on ",
                place ? place->str() : "", " and ", tensor.device().str());
    place = tensor.device();
  };
  const auto arguments = torch::jit::last(stack, op.schema().arguments().size());
  for (const c10::IValue& value : arguments) {
    if (value.isTensor()) check(value.toTensor());
    if (value.isTensorList())
      for (const at::Tensor& tensor : value.toTensorVector()) check(tensor);
    if (value.isOptionalTensorList())
      for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorVector())
        if (tensor) check(*tensor);
  }
}

void on_the_host(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  check_places(op, *stack);
  const bool was_on_device = std::exchange(is_on_device, true);
  at::native::cpu_fallback(op, stack);
  is_on_device = was_on_device;
}

const bool kIsKnown = [] {
  c10::register_privateuse1_backend("fake");
  c10::SetAllocator(at::kPrivateUse1, &device_memory);
  at::RegisterPrivateUse1HooksInterface(&hooks);
  return true;
}();

}  // namespace

int64_t fake_device_waits() {
  return waits;
}

}  // namespace vit22b::test

namespace c10::impl {
C10_REGISTER_GUARD_IMPL(PrivateUse1, vit22b::test::FakeGuard);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&vit22b::test::on_the_host>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", vit22b::test::empty);
  m.impl("empty_strided", vit22b::test::empty_strided);
  m.impl("_copy_from", vit22b::test::copy_from);
  m.impl("_copy_from_and_resize", vit22b::test::copy_from_and_resize);
  m.impl("record_stream", vit22b::test::record_stream);
  m.impl("_local_scalar_dense", vit22b::test::local_scalar);
  m.impl("as_strided", vit22b::test::as_strided);
  m.impl("view", at::native::view);
  m.impl("_reshape_alias", at::native::_reshape_alias);
  m.impl("unfold", at::native::unfold);
  m.impl("set_.source_Storage_storage_offset", vit22b::test::set_storage);
}
