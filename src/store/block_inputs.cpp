#include "store/block_inputs.h"

#include "kernels/large_tensor.h"

namespace vit22b {

void HostInputs::put(int64_t block, const at::Tensor& input_BTD) {
  Kept& kept = kept_[block];
  kept.device = input_BTD.device();
  if (kept.device.is_cpu()) {
    kept.host = input_BTD;
    return;
  }
  if (!kept.host.defined() || kept.host.sizes() != input_BTD.sizes() ||
      kept.host.scalar_type() != input_BTD.scalar_type())
    kept.host = at::empty(input_BTD.sizes(),
                          at::TensorOptions(input_BTD.scalar_type()).pinned_memory(true));
  kept.host.copy_(input_BTD, /*non_blocking=*/true);
}

at::Tensor HostInputs::take(int64_t block) {
  Kept& kept = kept_.at(block);
  if (kept.device.is_cpu()) return std::exchange(kept.host, {});
  return kept.host.to(kept.device, /*non_blocking=*/true);
}

int64_t FileInputs::Place::num_bytes() const {
  int64_t bytes = static_cast<int64_t>(c10::elementSize(dtype));
  for (const int64_t side : shape) bytes *= side;
  return bytes;
}

FileInputs::FileInputs(const std::filesystem::path& folder)
    : file_(folder, "block_inputs=file", "use block_inputs=device") {}

void FileInputs::put(int64_t block, const at::Tensor& input_BTD) {
  const at::Tensor input = input_BTD.cpu().contiguous();
  Place& place = places_[block];
  place.shape = input.sizes().vec();
  place.dtype = input.scalar_type();
  place.device = input_BTD.device();
  const auto bytes = static_cast<int64_t>(input.nbytes());
  if (bytes > place.capacity) {
    place.begin = size_;
    place.capacity = bytes;
    size_ += bytes;
  }
  file_.write(place.begin,
              {static_cast<const std::byte*>(input.const_data_ptr()), static_cast<size_t>(bytes)});
}

void FileInputs::prefetch(int64_t block) {
  const Place& place = places_.at(block);
  file_.prefetch(place.begin, place.num_bytes());
}

at::Tensor FileInputs::take(int64_t block) {
  const Place& place = places_.at(block);
  at::Tensor input = empty_large(place.shape, at::TensorOptions(place.dtype));
  file_.read(place.begin, {static_cast<std::byte*>(input.mutable_data_ptr()),
                           static_cast<size_t>(place.num_bytes())});
  return input.to(place.device);
}

}  // namespace vit22b
