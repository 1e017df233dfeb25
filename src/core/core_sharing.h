#pragma once
#include <cstdint>
#include <memory>

namespace vit22b {

/// Watches, ten times a second, whether other programs want the cores that this one computes on,
/// and while they do makes its threads sleep at barriers instead of spinning.
///
/// libgomp's threads spin for milliseconds before they sleep. Alone that is the fastest (a step of
/// a small model has hundreds of barriers); beside another program it takes the very cores that the
/// last thread at the barrier needs. libgomp spins for a thousandth of that when it manages more
/// threads than there are processors; so a second team that only sleeps is kept as long as the
/// threads of this process wait for processors. Nothing is done where OMP_WAIT_POLICY or
/// GOMP_SPINCOUNT say how to wait, with one thread, or where the kernel does not tell who waits.
class CoreSharing {
 public:
  /// threads  of the team that computes
  explicit CoreSharing(int64_t threads);
  ~CoreSharing();
  CoreSharing(const CoreSharing&) = delete;
  CoreSharing& operator=(const CoreSharing&) = delete;

 private:
  struct Watch;
  std::unique_ptr<Watch> watch_;
};

/// Seconds that all threads of this process have waited for a processor so far; less than 0 where
/// the kernel does not tell.
double seconds_waited_for_processors();

}  // namespace vit22b
