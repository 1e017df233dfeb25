#include "plan/disk_rate.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

#include "core/alternation.h"

namespace vit22b {
namespace {

constexpr size_t kBytes = 256 << 20, kPiece = 8 << 20;
constexpr size_t kPage = 4096;  // direct reads and writes are of whole ones

class NamelessFile {
 public:
  explicit NamelessFile(const std::string& folder)
      : descriptor_(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600)) {}
  ~NamelessFile() {
    if (is_open()) ::close(descriptor_);
  }
  NamelessFile(const NamelessFile&) = delete;
  NamelessFile& operator=(const NamelessFile&) = delete;
  bool is_open() const { return descriptor_ >= 0; }

  // Transfers all bytes piece by piece; false where one is refused.
  template <class Transfer>
  bool each_piece(const Transfer& transfer) const {
    for (size_t at = 0; at < kBytes; at += kPiece)
      if (transfer(descriptor_, static_cast<off_t>(at)) != static_cast<ssize_t>(kPiece))
        return false;
    return true;
  }

 private:
  const int descriptor_;
};

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

}  // namespace

double disk_read_rate(const std::string& folder) {
  const NamelessFile file(folder);
  const std::unique_ptr<void, Free> memory(std::aligned_alloc(kPage, kPiece));
  if (!file.is_open() || memory == nullptr) return 0;
  // No zeros: some disks do not store them.
  auto* words = static_cast<uint64_t*>(memory.get());
  for (uint64_t i = 0; i < kPiece / sizeof(uint64_t); ++i) words[i] = (i + 1) * 0x9e3779b97f4a7c15U;
  if (!file.each_piece([&](int descriptor, off_t at) {
        words[0] = static_cast<uint64_t>(at);
        return ::pwrite(descriptor, memory.get(), kPiece, at);
      }))
    return 0;
  bool is_read = false;
  const double seconds = seconds_of([&] {
    is_read = file.each_piece(
        [&](int descriptor, off_t at) { return ::pread(descriptor, memory.get(), kPiece, at); });
  });
  return is_read ? static_cast<double>(kBytes) / seconds : 0;
}

}  // namespace vit22b
