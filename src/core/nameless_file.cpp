#include "core/nameless_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/error.h"
#include "core/text.h"

namespace vit22b {

NamelessFile::NamelessFile(const std::filesystem::path& folder, std::string what,
                           std::string remedy)
    : folder_(folder), what_(std::move(what)), remedy_(std::move(remedy)) {
  std::string name = (folder / "vit22b-scratch-XXXXXX").string();
  descriptor_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (descriptor_ < 0)
    throw UsageError(what_, ": no file can be made in ", folder.string(), " (",
                     std::strerror(errno), ")");
  ::unlink(name.c_str());
}

NamelessFile::~NamelessFile() {
  ::close(descriptor_);
}

void NamelessFile::write(int64_t offset, std::span<const std::byte> bytes) {
  size_ = std::max(size_, offset + std::ssize(bytes));
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t wrote = ::pwrite(descriptor_, bytes.data() + done, bytes.size() - done,
                                   offset + static_cast<int64_t>(done));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0)
      throw UsageError(what_, ": ", folder_.string(), " cannot take ",
                       human_bytes(static_cast<double>(size_)), " (", std::strerror(errno),
                       "); free space there, or ", remedy_);
    done += static_cast<size_t>(wrote);
  }
}

void NamelessFile::read(int64_t offset, std::span<std::byte> out) const {
  for (size_t done = 0; done < out.size();) {
    const ssize_t got = ::pread(descriptor_, out.data() + done, out.size() - done,
                                offset + static_cast<int64_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      throw UsageError(what_, ": what was written in ", folder_.string(), " cannot be read again (",
                       std::strerror(errno), ")");
    done += static_cast<size_t>(got);
  }
}

void NamelessFile::prefetch(int64_t offset, int64_t size_bytes) const {
  ::posix_fadvise(descriptor_, offset, size_bytes, POSIX_FADV_WILLNEED);
}

}  // namespace vit22b
