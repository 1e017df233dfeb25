#include "core/trace.h"

#include <atomic>
#include <chrono>
#include <mutex>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/file.h"

namespace vit22b {
namespace {

struct Span {
  TraceLane lane;
  std::string name;
  int64_t begin_ns, end_ns;
};

// The one process-wide record, as the log is.
struct Record {
  std::atomic<bool> is_on{false};
  std::mutex mutex;
  std::vector<Span> spans;
};

Record& record() {
  static Record instance;
  return instance;
}

constexpr double kNanosecondsPerMicrosecond = 1e3;

}  // namespace

void start_trace() {
  record().is_on = true;
}

bool is_tracing() {
  return record().is_on;
}

int64_t trace_clock_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void add_trace_span(TraceLane lane, std::string_view name, int64_t begin_ns, int64_t end_ns) {
  Record& r = record();
  if (!r.is_on) return;
  const std::lock_guard lock(r.mutex);
  r.spans.push_back({lane, std::string(name), begin_ns, end_ns});
}

std::string take_trace_events(int64_t process) {
  Record& r = record();
  const std::lock_guard lock(r.mutex);
  r.is_on = false;
  std::string text;
  const auto add = [&](const nlohmann::ordered_json& event) {
    text += (text.empty() ? "" : ",\n") + event.dump();
  };
  const char* const lanes[] = {"compute", "transfer"};
  for (int lane = 0; lane < 2; ++lane)
    add({{"name", "thread_name"},
         {"ph", "M"},
         {"pid", process},
         {"tid", lane},
         {"args", {{"name", lanes[lane]}}}});
  add({{"name", "process_name"},
       {"ph", "M"},
       {"pid", process},
       {"args", {{"name", concat("rank ", process)}}}});
  for (const Span& span : r.spans)
    add({{"name", span.name},
         {"ph", "X"},
         {"pid", process},
         {"tid", static_cast<int>(span.lane)},
         {"ts", static_cast<double>(span.begin_ns) / kNanosecondsPerMicrosecond},
         {"dur", static_cast<double>(span.end_ns - span.begin_ns) / kNanosecondsPerMicrosecond}});
  r.spans.clear();
  return text;
}

void write_trace(const std::filesystem::path& path, const std::string& events) {
  FileOps ops;
  write_text(ops, path, "{\"traceEvents\":[\n" + events + "\n]}\n");
}

TraceSpan::TraceSpan(TraceLane lane, std::string_view name) : lane_(lane) {
  if (!is_tracing()) return;
  name_ = name;
  begin_ns_ = trace_clock_ns();
}

TraceSpan::~TraceSpan() {
  if (begin_ns_ >= 0) add_trace_span(lane_, name_, begin_ns_, trace_clock_ns());
}

}  // namespace vit22b
