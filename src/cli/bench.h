#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/command.h"
#include "model/config.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library names itself so
class App;
}

namespace vit22b {

/// A flag of the block's benchmark alone, beside CommonFlag's.
constexpr unsigned kHalfWeights = 1U << 16;

/// What every benchmark of a model's sizes is told.
struct BenchFlags {
  CommonFlags common;
  std::string name;
  std::vector<std::string> overrides;
  int64_t batch = 16, repeats = 5;
  bool has_half_weights = false;

  void add_to(CLI::App& command, unsigned chosen);
};

// The parts of `vit22b bench`, each in the file of its name.
void add_bench_model(CLI::App& group);
void add_bench_kernels(CLI::App& group);  ///< gemm, attention, block
void add_bench_ring(CLI::App& group);
void add_bench_stream(CLI::App& group);
void add_bench_probe(CLI::App& group);
void add_bench_lit(CLI::App& group);
void add_bench_corruptions(CLI::App& group);

}  // namespace vit22b
