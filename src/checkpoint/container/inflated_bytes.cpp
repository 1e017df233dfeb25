#include "checkpoint/container/inflated_bytes.h"

#include <zlib.h>

#include <mutex>
#include <vector>

#include "core/error.h"

namespace vit22b {
namespace {

constexpr size_t kStepBytes = size_t{64} << 10;
constexpr int kWithoutHeader = -MAX_WBITS;

class InflatedBytes : public ByteStore {
 public:
  InflatedBytes(const ByteStore& archive, const ZipMember& member, std::string name)
      : archive_(archive), member_(member), name_(std::move(name)), packed_(kStepBytes) {
    if (inflateInit2(&stream_, kWithoutHeader) != Z_OK) throw InternalError("zlib cannot start");
  }
  ~InflatedBytes() override { inflateEnd(&stream_); }
  InflatedBytes(const InflatedBytes&) = delete;
  InflatedBytes& operator=(const InflatedBytes&) = delete;

  const std::string& place() const override { return archive_.place(); }
  size_t size() const override { return member_.size; }
  bool is_unchanged() const override { return archive_.is_unchanged(); }

  size_t read(size_t offset, std::span<std::byte> out) const override {
    const std::lock_guard lock(mutex_);
    const size_t available = offset > member_.size ? 0 : member_.size - offset;
    if (offset < reached_) restart();
    std::vector<std::byte> passed_over(std::min(kStepBytes, offset - reached_));
    while (reached_ < offset) {
      const size_t step = std::min(passed_over.size(), offset - reached_);
      if (unpack({passed_over.data(), step}) < step) return 0;
    }
    return unpack(out.first(std::min(out.size(), available)));
  }

 private:
  void restart() const {
    inflateReset(&stream_);
    stream_.avail_in = 0;
    reached_ = taken_ = 0;
  }

  /// The next bytes; fewer where the member ends.
  size_t unpack(std::span<std::byte> out) const {
    size_t done = 0;
    while (done < out.size()) {
      if (stream_.avail_in == 0) refill();
      const size_t wanted = std::min(kStepBytes, out.size() - done);
      stream_.next_out = reinterpret_cast<Bytef*>(out.data() + done);
      stream_.avail_out = static_cast<uInt>(wanted);
      const int state = inflate(&stream_, Z_NO_FLUSH);
      done += wanted - stream_.avail_out;
      reached_ += wanted - stream_.avail_out;
      if (state == Z_STREAM_END || (state == Z_BUF_ERROR && taken_ == member_.packed_size)) break;
      if (state != Z_OK && state != Z_BUF_ERROR)
        throw CheckpointError(place(), ": the member '", name_,
                              "' is damaged: its bytes cannot be unpacked");
    }
    return done;
  }

  void refill() const {
    const size_t step = std::min(kStepBytes, member_.packed_size - taken_);
    const size_t got = archive_.read(member_.begin + taken_, {packed_.data(), step});
    if (got < step) throw CheckpointError(place(), ": the member '", name_, "' is cut short");
    taken_ += got;
    stream_.next_in = reinterpret_cast<Bytef*>(packed_.data());
    stream_.avail_in = static_cast<uInt>(got);
  }

  const ByteStore& archive_;
  ZipMember member_;
  std::string name_;
  // Reads go through one state, each under the lock.
  mutable std::mutex mutex_;
  mutable z_stream stream_{};
  mutable std::vector<std::byte> packed_;
  mutable size_t taken_ = 0, reached_ = 0;  ///< bytes, packed and unpacked
};

}  // namespace

std::unique_ptr<ByteStore> inflated_bytes(const ByteStore& archive, const ZipMember& member,
                                          std::string name) {
  return std::make_unique<InflatedBytes>(archive, member, std::move(name));
}

}  // namespace vit22b
