#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "core/file.h"
#include "core/log.h"

namespace vit22b {

namespace fs = std::filesystem;

namespace {

// A link of that name may be somebody else's, and lead anywhere.
int open_lock(const fs::path& folder) {
  const int descriptor =
      ::open((folder / ".lock").c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (descriptor < 0)
    throw UsageError("cannot write in ", folder.string(), ": ", std::strerror(errno),
                     "; choose another --out");
  return descriptor;
}

}  // namespace

FolderLock::FolderLock(const fs::path& folder) : folder_(folder), descriptor_(open_lock(folder)) {
  if (!take()) {
    const std::string who = holder();
    ::close(descriptor_);
    throw UsageError("run folder ", folder.string(), " is in use by ", who,
                     "; wait for it to end or choose another --out");
  }
  sign();
}

FolderLock::FolderLock(const fs::path& folder, const std::function<bool()>& should_stop)
    : folder_(folder), descriptor_(open_lock(folder)) {
  constexpr auto kPause = std::chrono::milliseconds(100);
  for (bool is_said = false; !take(); is_said = true) {
    if (!is_said) log_info(concat("waiting for ", holder(), ", which writes ", folder.string()));
    if (should_stop()) {
      ::close(descriptor_);
      throw Stopped("stopped while another process was writing ", folder.string());
    }
    std::this_thread::sleep_for(kPause);
  }
  sign();
}

bool FolderLock::take() {
  return ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0;
}

std::string FolderLock::holder() const {
  char text[256] = {};
  const ssize_t length = ::pread(descriptor_, text, sizeof text - 1, 0);
  return length > 0 ? text : "another process";
}

void FolderLock::sign() const {
  char host[128] = {};
  ::gethostname(host, sizeof host - 1);
  const std::string text = concat("pid ", ::getpid(), " on ", host);
  if (::ftruncate(descriptor_, 0) == 0 && ::pwrite(descriptor_, text.data(), text.size(), 0) >= 0)
    return;
  const int error = errno;
  ::close(descriptor_);
  throw UsageError("cannot write in ", folder_.string(), ": ", std::strerror(error));
}

FolderLock::~FolderLock() {
  ::close(descriptor_);
}

}  // namespace vit22b
