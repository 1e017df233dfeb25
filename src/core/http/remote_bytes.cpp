#include "core/http/remote_bytes.h"

#include <algorithm>
#include <cstring>
#include <mutex>

#include "core/error.h"

namespace vit22b {
namespace {

/// Puts a range's bytes where they are wanted.
class RangeBody : public HttpBody {
 public:
  RangeBody(size_t offset, std::span<std::byte> out) : offset_(offset), out_(out) {}
  bool begin(const HttpAnswer& answer) override {
    has_range_ = answer.status == 206 &&
                 answer.header("content-range").starts_with(concat("bytes ", offset_ + done_, "-"));
    return has_range_;
  }
  bool add(std::span<const std::byte> bytes) override {
    const std::span<const std::byte> wanted =
        bytes.first(std::min(bytes.size(), out_.size() - done_));
    std::memcpy(out_.data() + done_, wanted.data(), wanted.size());
    done_ += wanted.size();
    return done_ < out_.size();
  }
  bool is_whole() const { return done_ == out_.size(); }
  size_t at() const { return offset_ + done_; }

 private:
  size_t offset_, done_ = 0;
  std::span<std::byte> out_;
  bool has_range_ = false;
};

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
    RangeBody body(offset, out);
    for (int64_t again = 1;; ++again) {
      const size_t before = body.at();
      HttpRequest request{.url = file_.url};
      request.headers = {concat("Range: bytes=", body.at(), "-", offset + out.size() - 1)};
      request.timeout_s = client_.manners().timeout_s;
      const HttpAnswer answer = client_.once(request, body);
      if (body.is_whole()) return out.size();
      if (answer.failure == HttpAnswer::Failure::kNone && answer.status == 200)
        throw CheckpointError(file_.name, ": the server gives no parts of files, and the whole is ",
                              "more than what is wanted of it");
      const bool is_refused = answer.failure == HttpAnswer::Failure::kNone &&
                              answer.status != 206 && !may_do_better(answer);
      if (body.at() > before) again = 1;
      if (is_refused || again >= client_.manners().tries)
        throw CheckpointError(refusal_text(answer, file_));
      client_.pause(answer, again);
    }
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
