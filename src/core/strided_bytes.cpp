#include "core/strided_bytes.h"

#include <cstring>
#include <mutex>

#include "core/checked.h"
#include "core/error.h"

namespace vit22b {
namespace {

using Bytes = std::vector<std::byte>;

/// Goes through a view's elements in C order.
class Walk {
 public:
  Walk(const StridedView& view, size_t first) : view_(view), index_(view.shape.size()) {
    for (size_t i = index_.size(); i-- > 0;) {
      const auto side = static_cast<size_t>(view.shape[i]);
      index_[i] = static_cast<int64_t>(first % side);
      first /= side;
      element_ += index_[i] * view.strides[i];
    }
  }

  /// Of the element, in the view's bytes.
  size_t byte() const { return static_cast<size_t>(element_) * view_.element_bytes; }

  void next() {
    for (size_t i = index_.size(); i-- > 0;) {
      element_ += view_.strides[i];
      if (++index_[i] < view_.shape[i]) return;
      element_ -= index_[i] * view_.strides[i];
      index_[i] = 0;
    }
  }

 private:
  const StridedView& view_;
  std::vector<int64_t> index_;
  int64_t element_ = 0;
};

class StridedBytes : public ByteStore {
 public:
  StridedBytes(const ByteStore& source, StridedView view)
      : source_(source), view_(std::move(view)) {
    const auto size = checked_size_bytes(view_.shape, static_cast<int64_t>(view_.element_bytes));
    const auto span = checked_span_bytes(view_);
    VIT22B_CHECK(size && span, "strided_bytes: a view whose size overflows");
    size_ = static_cast<size_t>(*size);
    span_ = static_cast<size_t>(*span);
  }

  const std::string& place() const override { return source_.place(); }
  size_t size() const override { return size_; }
  bool is_unchanged() const override { return source_.is_unchanged(); }

  size_t read(size_t offset, std::span<std::byte> out) const override {
    const size_t count = offset >= size_ ? 0 : std::min(out.size(), size_ - offset);
    if (count == 0) return 0;
    const std::shared_ptr<const Bytes> bytes = held();
    if (bytes->size() < span_) return 0;
    Walk at(view_, offset / view_.element_bytes);
    for (size_t done = 0; done < count; at.next()) {
      const size_t within = (offset + done) % view_.element_bytes;
      const size_t part = std::min(view_.element_bytes - within, count - done);
      std::memcpy(out.data() + done, bytes->data() + at.byte() + within, part);
      done += part;
    }
    if (offset + count == size_) forget();
    return count;
  }

 private:
  /// What the view lies in; less where the source has ended.
  std::shared_ptr<const Bytes> held() const {
    const std::lock_guard lock(mutex_);
    if (held_) return held_;
    Bytes bytes(span_);
    bytes.resize(source_.read(view_.begin, bytes));
    held_ = std::make_shared<const Bytes>(std::move(bytes));
    return held_;
  }

  void forget() const {
    const std::lock_guard lock(mutex_);
    held_.reset();
  }

  const ByteStore& source_;
  StridedView view_;
  size_t size_ = 0, span_ = 0;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const Bytes> held_;
};

}  // namespace

bool is_contiguous(const StridedView& view) {
  int64_t next = 1;
  for (size_t i = view.shape.size(); i-- > 0;) {
    if (view.shape[i] == 0) return true;
    if (view.shape[i] != 1 && view.strides[i] != next) return false;
    next *= view.shape[i];
  }
  return true;
}

std::optional<int64_t> checked_span_bytes(const StridedView& view) {
  std::optional<int64_t> last = 0;
  for (size_t i = 0; i < view.shape.size(); ++i) {
    if (view.shape[i] == 0) return 0;
    const auto reach = checked_mul(view.shape[i] - 1, view.strides[i]);
    last = reach ? checked_add(*last, *reach) : std::nullopt;
    if (!last) return std::nullopt;
  }
  const auto count = checked_add(*last, 1);
  return count ? checked_mul(*count, static_cast<int64_t>(view.element_bytes)) : std::nullopt;
}

std::unique_ptr<ByteStore> strided_bytes(const ByteStore& source, StridedView view) {
  return std::make_unique<StridedBytes>(source, std::move(view));
}

}  // namespace vit22b
