#pragma once

namespace CLI {  // NOLINT(readability-identifier-naming): the library names itself so
class App;
}

namespace vit22b {

// The parts of `vit22b bench`, each in the file of its name.
void add_bench_model(CLI::App& group);
void add_bench_kernels(CLI::App& group);  ///< gemm, attention, block

}  // namespace vit22b
