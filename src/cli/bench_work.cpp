#include "cli/bench_work.h"

#include <c10/core/impl/VirtualGuardImpl.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/alternation.h"
#include "core/error.h"

namespace vit22b {
namespace {

// Runs work to its end, on a device too.
std::function<void()> whole(const std::function<at::Tensor()>& work, c10::Device device) {
  return [&work, device] {
    if (work) work();
    if (device.is_cuda())
      c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
  };
}

double relative_error(const at::Tensor& got, const at::Tensor& want) {
  return ((got - want).abs().max() / want.abs().max()).item<double>();
}

double gflops(const Work& work, double seconds) {
  return work.flops / seconds / 1e9;
}

std::string text_of(const Work& work, const Timing& ours, const Timing& aten) {
  char text[256];
  std::snprintf(text, sizeof text, "%-42s", work.name.c_str());
  std::string line = text;
  if (work.ours) {
    std::snprintf(text, sizeof text, " %9.3f ms  %8.1f GFLOP/s (best %.1f)", ours.median * 1e3,
                  gflops(work, ours.median), gflops(work, ours.fastest));
    line += text;
  }
  if (work.aten) {
    std::snprintf(text, sizeof text, "   ATen %8.1f (best %.1f)", gflops(work, aten.median),
                  gflops(work, aten.fastest));
    line += text;
  }
  if (work.ours && work.aten) {
    std::snprintf(text, sizeof text, "   ratio %5.2f", aten.median / ours.median);
    line += text;
  }
  return line + "\n";
}

nlohmann::ordered_json json_of(const Work& work, double error, const Timing& ours,
                               const Timing& aten) {
  nlohmann::ordered_json row = {{"work", work.name}};
  if (work.ours) {
    row["gflops"] = gflops(work, ours.median);
    row["seconds_median"] = ours.median;
    row["seconds_spread"] = ours.slowest - ours.fastest;
  }
  if (work.aten) row["aten_gflops"] = gflops(work, aten.median);
  if (work.ours && work.aten) {
    row["ratio"] = aten.median / ours.median;
    row["relative_error"] = error;
  }
  return row;
}

// How far the two answers are apart; 0 where there is one.
double checked_error(const Work& work) {
  if (!work.ours || !work.aten) return 0;
  const double error = relative_error(work.ours(), work.aten());
  if (!(error < work.bound))
    throw NumbersError("bench: ", work.name, " is off by ", error, " of the largest value, want ",
                       work.bound);
  return error;
}

}  // namespace

void measure(const std::vector<Work>& works, const BenchFlags& flags, c10::Device device) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  std::string table;
  for (const Work& work : works) {
    const double error = checked_error(work);
    const auto timings = alternate(
        {{"ours", whole(work.ours, device)}, {"aten", whole(work.aten, device)}}, flags.repeats);
    table += text_of(work, timings[0], timings[1]);
    json.push_back(json_of(work, error, timings[0], timings[1]));
  }
  print_out(flags.common.is_json ? json.dump(1) + "\n" : table);
}

}  // namespace vit22b
