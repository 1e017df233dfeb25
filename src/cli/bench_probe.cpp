#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/bench.h"
#include "core/alternation.h"
#include "core/error.h"
#include "train/throughput.h"
#include "transfer/head_grid.h"

namespace vit22b {
namespace {

struct ProbeBenchFlags {
  CommonFlags common;
  int64_t samples = 100'000, width = 1024, heads = 52, classes = 100, batch = 1024, epochs = 1;
  int64_t repeats = 3;
};

/// The largest difference between one head after a step beside others and the same step by ATen's
/// autograd, relative to the largest weight.
double check_answer(const ProbeBenchFlags& flags) {
  constexpr double kRate = 0.1;
  const at::Tensor x = at::randn({flags.batch, flags.width}),
                   y = at::randint(flags.classes, {flags.batch}, at::kLong);
  HeadRow row(flags.width, flags.heads, flags.classes, /*seed=*/0);
  const LinearHead before = row.head(0);
  row.step(x, y, std::vector<double>(static_cast<size_t>(flags.heads), kRate), 0.9);
  const at::AutoGradMode grad(true);
  const at::Tensor w = before.weights_DC.clone().requires_grad_();
  at::cross_entropy_loss(at::addmm(before.bias_C, x, w), y).backward();
  const at::AutoGradMode no_grad(false);
  const at::Tensor want = before.weights_DC - kRate * w.grad();
  const at::Tensor got = row.head(flags.heads - 1).weights_DC;
  return ((got - want).abs().max() / want.abs().max()).item<double>();
}

void run_bench_probe(const ProbeBenchFlags& flags) {
  const Device device = begin_command(flags.common);
  const double error = check_answer(flags);
  constexpr double kTolerance = 1e-5;  // fp32 sums of 1,024 terms in another order
  if (!(error <= kTolerance))
    throw NumbersError("bench: a head's step differs from autograd's by ", error);
  const at::Tensor features = at::randn({flags.samples, flags.width}),
                   labels = at::randint(flags.classes, {flags.samples}, at::kLong);
  const HeadInput input{"features", flags.width,
                        [&](const at::Tensor& i) { return features.index_select(0, i); }};
  HeadGridOptions options{.epochs = flags.epochs, .batch_size = flags.batch};
  options.rates.assign(static_cast<size_t>(flags.heads), 0.01);
  double gemm = 0;
  const auto timing =
      alternate({{"products", [&] { gemm = peak_flops(device, "fp32"); }},
                 {"grid",
                  [&] {
                    train_head_grid({input}, labels, at::arange(flags.samples, at::kLong),
                                    flags.classes, options);
                  }}},
                flags.repeats)[1];
  const int64_t steps_an_epoch = flags.samples / flags.batch;
  const auto steps = static_cast<double>(flags.epochs * steps_an_epoch);
  const auto columns = static_cast<double>(flags.heads * flags.classes);
  const double flops =
      steps * 4 * static_cast<double>(flags.batch) * static_cast<double>(flags.width) * columns;
  const double rate = flops / timing.median;
  const nlohmann::ordered_json json = {{"seconds_median", timing.median},
                                       {"seconds_spread", timing.slowest - timing.fastest},
                                       {"gflops", rate / 1e9},
                                       {"gemm_gflops", gemm / 1e9},
                                       {"share_of_gemm", rate / gemm},
                                       {"error", error}};
  char text[256];
  std::snprintf(text, sizeof text,
                "%.2f s (%.2f to %.2f), %.0f GFLOP/s, %.1f %% of the products' %.0f; error %.1e\n",
                timing.median, timing.fastest, timing.slowest, rate / 1e9, 100 * rate / gemm,
                gemm / 1e9, error);
  print_out(flags.common.is_json ? json.dump(1) + "\n" : text);
}

}  // namespace

void add_bench_probe(CLI::App& group) {
  auto flags = std::make_shared<ProbeBenchFlags>();
  CLI::App* command = group.add_subcommand(
      "probe", "a grid of linear heads on random features, beside the products' rate");
  const auto size = [&](const char* name, int64_t& value, const char* help) {
    command->add_option(name, value, help)->capture_default_str()->check(CLI::Range(1, 10'000'000));
  };
  size("--samples", flags->samples, "training samples");
  size("--width", flags->width, "of the features");
  size("--heads", flags->heads, "trained together");
  size("--classes", flags->classes, "of each head");
  size("--batch", flags->batch, "samples a step");
  size("--epochs", flags->epochs, "passes over the samples");
  size("--repeats", flags->repeats, "timed runs");
  add_common_flags(*command, flags->common, kJson);
  command->callback([flags] { run_bench_probe(*flags); });
}

}  // namespace vit22b
