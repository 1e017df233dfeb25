#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace vit22b {

/// One way to do a piece of work.
struct Contender {
  std::string name;
  std::function<void()> run;
};

/// What the clock said of one contender, in seconds.
struct Timing {
  double median = 0, fastest = 0, slowest = 0;
};

/// Of an odd count the middle value, else the mean of the two middle ones.
double median(std::vector<double> values);

/// How long an act takes.
double seconds_of(const std::function<void()>& act);

/// Times contenders in turn, so that a noisy moment of the machine hits all of them; one run of
/// each warms up.
std::vector<Timing> alternate(const std::vector<Contender>& contenders, int64_t repeats);

}  // namespace vit22b
