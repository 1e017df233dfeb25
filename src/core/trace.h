#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace vit22b {

/// Which lane of a trace a span lies in.
enum class TraceLane { kCompute, kTransfer };

/// Starts recording spans; until then they cost one load.
void start_trace();
bool is_tracing();

/// Nanoseconds of a steady clock.
int64_t trace_clock_ns();

/// Records one span.
void add_trace_span(TraceLane lane, std::string_view name, int64_t begin_ns, int64_t end_ns);

/// What was recorded, as events of Chrome's and Perfetto's JSON format separated by commas; ends
/// the recording. `process` names the rank.
std::string take_trace_events(int64_t process);

/// Writes a whole trace from the events of its processes.
void write_trace(const std::filesystem::path& path, const std::string& events);

/// A span from construction to destruction.
class TraceSpan {
 public:
  TraceSpan(TraceLane lane, std::string_view name);
  ~TraceSpan();
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;

 private:
  TraceLane lane_;
  std::string name_;
  int64_t begin_ns_ = -1;
};

}  // namespace vit22b
