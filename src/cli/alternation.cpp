#include "cli/alternation.h"

#include <algorithm>
#include <chrono>

namespace vit22b {
namespace {

double seconds_of(const std::function<void()>& run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median_of_sorted(const std::vector<double>& values) {
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace

std::vector<Timing> alternate(const std::vector<Contender>& contenders, int64_t repeats) {
  std::vector<std::vector<double>> seconds(contenders.size());
  for (const Contender& contender : contenders) contender.run();
  for (int64_t i = 0; i < repeats; ++i)
    for (size_t j = 0; j < contenders.size(); ++j)
      seconds[j].push_back(seconds_of(contenders[j].run));
  std::vector<Timing> timings;
  timings.reserve(contenders.size());
  for (std::vector<double>& all : seconds) {
    std::sort(all.begin(), all.end());
    timings.push_back({median_of_sorted(all), all.front(), all.back()});
  }
  return timings;
}

}  // namespace vit22b
