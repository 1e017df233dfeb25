#include "core/http/remote_bytes.h"

#include <algorithm>
#include <cstring>
#include <mutex>

#include "core/error.h"

namespace vit22b {
namespace {

class RemoteBytes : public ByteStore {
 public:
  RemoteBytes(const RemoteFile& file, const Manners& manners) : file_(file), client_(manners) {}

  const std::string& place() const override { return file_.name; }
  size_t size() const override { return static_cast<size_t>(file_.size_bytes); }
  bool is_unchanged() const override { return true; }

  size_t read(size_t offset, std::span<std::byte> out) const override {
    const std::lock_guard lock(mutex_);
    if (offset >= size() || out.empty()) return 0;
    out = out.first(std::min(out.size(), size() - offset));
    const auto first = static_cast<int64_t>(offset);
    const PutBytes put = [&](int64_t at, std::span<const std::byte> bytes) {
      std::memcpy(out.data() + (at - first), bytes.data(), bytes.size());
    };
    const ByteRange range{first, first + static_cast<int64_t>(out.size())};
    if (fetch_range(client_, file_, range, put) == RangeEnd::kNoRanges)
      throw CheckpointError(file_.name, ": the server gives no parts of files, and the whole is ",
                            "more than what is wanted of it");
    return out.size();
  }

 private:
  RemoteFile file_;
  mutable std::mutex mutex_;
  mutable PoliteClient client_;
};

}  // namespace

std::unique_ptr<ByteStore> open_remote_bytes(const RemoteFile& file, const Manners& manners) {
  if (file.size_bytes < 0)
    throw CheckpointError(file.name,
                          ": nothing says how large it is, so that no part is asked for");
  return std::make_unique<RemoteBytes>(file, manners);
}

}  // namespace vit22b
