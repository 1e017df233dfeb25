#include "store/block_inputs.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"
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

FileInputs::FileInputs(const std::filesystem::path& folder) : folder_(folder) {
  std::string name = (folder / "block-inputs-XXXXXX").string();
  descriptor_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (descriptor_ < 0)
    throw UsageError("block_inputs=file: no file can be made in ", folder.string(), " (",
                     std::strerror(errno), ")");
  ::unlink(name.c_str());
}

FileInputs::~FileInputs() {
  ::close(descriptor_);
}

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
  const auto* data = static_cast<const char*>(input.const_data_ptr());
  for (int64_t done = 0; done < bytes;) {
    const ssize_t wrote =
        pwrite(descriptor_, data + done, static_cast<size_t>(bytes - done), place.begin + done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0)
      throw UsageError("block_inputs=file: ", folder_.string(), " cannot take ",
                       human_bytes(static_cast<double>(size_)), " (", std::strerror(errno),
                       "); free space there, or use block_inputs=device");
    done += wrote;
  }
}

void FileInputs::prefetch(int64_t block) {
  const Place& place = places_.at(block);
  posix_fadvise(descriptor_, place.begin, place.num_bytes(), POSIX_FADV_WILLNEED);
}

at::Tensor FileInputs::take(int64_t block) {
  const Place& place = places_.at(block);
  at::Tensor input = empty_large(place.shape, at::TensorOptions(place.dtype));
  auto* data = static_cast<char*>(input.mutable_data_ptr());
  for (int64_t done = 0, bytes = place.num_bytes(); done < bytes;) {
    const ssize_t got =
        pread(descriptor_, data + done, static_cast<size_t>(bytes - done), place.begin + done);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      throw UsageError("block_inputs=file: what was written in ", folder_.string(),
                       " cannot be read again (", std::strerror(errno), ")");
    done += got;
  }
  return input.to(place.device);
}

}  // namespace vit22b
