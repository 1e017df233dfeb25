#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

#include "cli/bench.h"

namespace vit22b {

/// One line of a table: the same work done by the fused engine's kernels and by ATen.
struct Work {
  std::string name;
  double flops;
  std::function<at::Tensor()> ours, aten;  ///< one of them may be empty
  double bound = 1e-4;                     ///< of their difference, relative to the largest value
};

/// Checks that the two agree, times them in turn on the device, prints the table or its JSON.
///
/// throws  NumbersError naming the work whose answers differ
void measure(const std::vector<Work>& works, const BenchFlags& flags, c10::Device device);

/// `vit22b bench block`.
void run_block_bench(const BenchFlags& flags);

}  // namespace vit22b
