#include "store/state_memory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"
#include "core/text.h"

namespace vit22b {
namespace {

constexpr std::string_view kMark = "vit22b state of ";
constexpr size_t kHeaderBytes = 4096;  // the mark and the owner; a page

size_t page_bytes() {
  return static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

at::Tensor DeviceMemory::zeros(at::IntArrayRef shape, at::ScalarType dtype) {
  return at::zeros(shape, at::TensorOptions(dtype).device(device_));
}

StateFile::StateFile(const std::filesystem::path& path, const std::string& owner) : path_(path) {
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0)
    throw UsageError("state file ", path.string(), " cannot be made (", std::strerror(errno), ")");
  try {
    if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0)
      throw UsageError("state file ", path.string(),
                       " is in use by another process; choose another state_path");
    check_owner(owner);
    std::string header = std::string(kMark) + owner + "\n";
    header.resize(kHeaderBytes, '\0');
    if (ftruncate(descriptor_, 0) != 0 ||
        pwrite(descriptor_, header.data(), header.size(), 0) != static_cast<ssize_t>(header.size()))
      throw UsageError("state file ", path.string(), " cannot be written (", std::strerror(errno),
                       ")");
    size_ = kHeaderBytes;
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

void StateFile::check_owner(const std::string& owner) const {
  std::string header(kHeaderBytes, '\0');
  const ssize_t got = pread(descriptor_, header.data(), header.size(), 0);
  if (got == 0) return;  // new
  header.resize(static_cast<size_t>(std::max<ssize_t>(0, got)));
  if (!header.starts_with(kMark))
    throw UsageError(path_.string(),
                     " is no state file; it is left as it is: choose another state_path");
  const std::string found = header.substr(kMark.size(), header.find('\n') - kMark.size());
  if (found != owner)
    throw UsageError("state file ", path_.string(), " belongs to ", found, ", not to ", owner,
                     "; remove it, or choose another state_path");
}

StateFile::~StateFile() {
  for (const auto& [data, bytes] : mappings_) munmap(data, bytes);
  ::unlink(path_.c_str());
  ::close(descriptor_);
}

at::Tensor StateFile::zeros(at::IntArrayRef shape, at::ScalarType dtype) {
  size_t bytes = c10::elementSize(dtype);
  for (const int64_t side : shape) bytes *= static_cast<size_t>(side);
  if (bytes == 0) return at::zeros(shape, dtype);
  const size_t page = page_bytes(), whole = (bytes + page - 1) / page * page;
  const int64_t begin = (size_ + static_cast<int64_t>(page) - 1) / static_cast<int64_t>(page) *
                        static_cast<int64_t>(page);
  // Room is taken now: a disk that is full later would end the process.
  if (const int error = posix_fallocate(descriptor_, begin, static_cast<off_t>(whole)); error != 0)
    throw UsageError("state file ", path_.string(), " cannot grow to ",
                     human_bytes(static_cast<double>(begin) + static_cast<double>(whole)), " (",
                     std::strerror(error), "); free space there, or choose another state_path");
  void* const data = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, begin);
  if (data == MAP_FAILED)
    throw UsageError("state file ", path_.string(), " cannot be mapped (", std::strerror(errno),
                     ")");
  mappings_[data] = whole;
  size_ = begin + static_cast<int64_t>(whole);
  return at::from_blob(data, shape, at::TensorOptions(dtype));
}

// Only of what is mapped here: the same advice would clear other memory.
void StateFile::advise(const at::Tensor& tensor, int advice) const {
  if (const auto it = mappings_.find(tensor.mutable_data_ptr()); it != mappings_.end())
    madvise(it->first, it->second, advice);
}

void StateFile::will_need(const at::Tensor& tensor) {
  advise(tensor, MADV_WILLNEED);
}

void StateFile::release(const at::Tensor& tensor) {
  advise(tensor, MADV_DONTNEED);
}

}  // namespace vit22b
