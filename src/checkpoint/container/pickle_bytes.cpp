#include "checkpoint/container/pickle_bytes.h"

#include <algorithm>

#include "core/error.h"
#include "core/stored_bytes.h"

namespace vit22b {
namespace {

constexpr size_t kWindowBytes = size_t{64} << 10;
constexpr size_t kLineLimit = 4096;

}  // namespace

uint64_t PickleBytes::number(size_t size) {
  if (size > left()) throw CheckpointError(place(), ": the pickle is cut short at byte ", at_);
  if (at_ < window_begin_ || at_ + size > window_begin_ + window_.size()) {
    window_ = read_range(store_, at_, std::min(kWindowBytes, left()), "the pickle");
    window_begin_ = at_;
  }
  const uint64_t value = little_endian(window_, at_ - window_begin_, size);
  at_ += size;
  return value;
}

std::string PickleBytes::text(size_t size) {
  if (size > left()) throw CheckpointError(place(), ": the pickle is cut short at byte ", at_);
  const bool is_in_window = at_ >= window_begin_ && at_ + size <= window_begin_ + window_.size();
  std::string text = is_in_window ? window_.substr(at_ - window_begin_, size)
                                  : read_range(store_, at_, size, "the pickle");
  at_ += size;
  return text;
}

std::string PickleBytes::line() {
  std::string line;
  for (;;) {
    const char next = static_cast<char>(number(1));
    if (next == '\n') return line;
    line += next;
    if (line.size() > kLineLimit)
      throw CheckpointError(place(), ": the pickle has a name of more than ", kLineLimit,
                            " bytes at byte ", at_);
  }
}

}  // namespace vit22b
