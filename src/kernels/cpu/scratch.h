#pragma once
#include <cstdint>
#include <memory>

namespace vit22b::cpu {

/// Memory for floats, aligned to 64 bytes, on large pages where the system gives them. It grows and
/// never shrinks; its contents are lost when it grows.
class Scratch {
 public:
  float* get(int64_t floats);
  int64_t size() const { return size_; }

 private:
  struct Free {
    void operator()(float* p) const;
  };
  std::unique_ptr<float, Free> memory_;
  int64_t size_ = 0;
};

/// What a thread keeps for its share of a product or an attention, so that no step pays for fresh
/// pages. One use at a time: an operation holds its scratch only while it runs.
struct ThreadScratch {
  Scratch a, b, c, groups, row;
};
ThreadScratch& thread_scratch();

}  // namespace vit22b::cpu
