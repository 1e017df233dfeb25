#include "core/alternation.h"

#include <algorithm>
#include <chrono>

namespace vit22b {

double seconds_of(const std::function<void()>& act) {
  const auto start = std::chrono::steady_clock::now();
  act();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::vector<Timing> alternate(const std::vector<Contender>& contenders, int64_t repeats) {
  std::vector<std::vector<double>> seconds(contenders.size());
  for (const Contender& contender : contenders) contender.run();
  for (int64_t i = 0; i < repeats; ++i)
    for (size_t j = 0; j < contenders.size(); ++j)
      seconds[j].push_back(seconds_of(contenders[j].run));
  std::vector<Timing> timings;
  timings.reserve(contenders.size());
  for (const std::vector<double>& all : seconds) {
    const auto [fastest, slowest] = std::minmax_element(all.begin(), all.end());
    timings.push_back({median(all), *fastest, *slowest});
  }
  return timings;
}

}  // namespace vit22b
