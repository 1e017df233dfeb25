#pragma once
#include <stdexcept>
#include <string>

#include "core/text.h"

namespace vit22b {

/// The process's exit codes (docs/tour.md); scripts rely on the numbers.
enum class ExitCode {
  kDone = 0,
  kBug = 1,
  kUsage = 2,
  kData = 3,
  kCheckpoint = 4,
  kNumbers = 5,
  kLostRank = 6,
  kStopped = 75,
};

/// A failure that a person can act on: its text says what, where and what to do; printed without a
/// stack trace.
class UserError : public std::runtime_error {
 public:
  template <class... Parts>
  explicit UserError(ExitCode code, const Parts&... parts)
      : std::runtime_error(concat(parts...)), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

/// Wrong command line, config or output place: exit code 2.
struct UsageError : UserError {
  template <class... Parts>
  explicit UsageError(const Parts&... parts) : UserError(ExitCode::kUsage, parts...) {}
};

/// Missing or damaged input data: exit code 3.
struct DataError : UserError {
  template <class... Parts>
  explicit DataError(const Parts&... parts) : UserError(ExitCode::kData, parts...) {}
};

/// Missing, damaged or unfitting checkpoint: exit code 4.
struct CheckpointError : UserError {
  template <class... Parts>
  explicit CheckpointError(const Parts&... parts) : UserError(ExitCode::kCheckpoint, parts...) {}
};

/// A loss or gradient that is not finite: exit code 5.
struct NumbersError : UserError {
  template <class... Parts>
  explicit NumbersError(const Parts&... parts) : UserError(ExitCode::kNumbers, parts...) {}
};

/// Another rank is gone or does not answer: exit code 6.
struct LostRank : UserError {
  template <class... Parts>
  explicit LostRank(const Parts&... parts) : UserError(ExitCode::kLostRank, parts...) {}
};

/// A caller's mistake inside the program: exit code 1.
struct InternalError : std::logic_error {
  template <class... Parts>
  explicit InternalError(const Parts&... parts) : std::logic_error(concat(parts...)) {}
};

/// The run was stopped by a signal after its state was saved: exit code 75.
struct Stopped : UserError {
  template <class... Parts>
  explicit Stopped(const Parts&... parts) : UserError(ExitCode::kStopped, parts...) {}
};

}  // namespace vit22b

/// Checks a caller's promise, always on; the text carries the values.
#define VIT22B_CHECK(condition, ...)                              \
  do {                                                            \
    if (!(condition)) throw ::vit22b::InternalError(__VA_ARGS__); \
  } while (false)
