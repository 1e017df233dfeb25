#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/bench.h"
#include "cli/bench_gather.h"
#include "cli/command.h"
#include "core/alternation.h"
#include "core/error.h"
#include "core/trace.h"
#include "dist/ring.h"
#include "dist/threads.h"
#include "dist/throttled.h"
#include "dist/trace_file.h"
#include "kernels/cpu/product.h"

namespace vit22b {
namespace {

struct RingFlags {
  CommonFlags common;
  int64_t procs = 2, repeats = 5, tokens = 2048, width = 1024;
  bool is_two_way = false;
  std::string trace;
};

// One linear layer of each kind on a rank: x [tokens, width / k] gathered into `width` outputs a
// rank, whose partial sums scatter again. Every partial product is as large as the next.
class RingWork {
 public:
  RingWork(const RingFlags& flags, const Mesh& mesh)
      : mesh_(mesh),
        tokens_(flags.tokens),
        part_(flags.width / flags.procs),
        hidden_(flags.width),
        x_(at::randn({tokens_, part_})),
        in_(at::randn({hidden_, flags.width})),
        out_(at::randn({flags.width, hidden_})),
        y_(at::empty({tokens_, hidden_})) {}

  // The seconds of one partial product, alone.
  double time_product() {
    const at::Tensor sum = at::empty({tokens_, part_});
    constexpr size_t kTimes = 9;
    std::vector<double> times;
    times.reserve(kTimes);
    for (size_t i = 0; i < kTimes; ++i) {
      times.push_back(
          seconds_of([&] {
            multiply_in({.source = 0, .rows = {0, tokens_}, .tensor = x_, .is_first = true});
            multiply_out({.destination = 0, .rows = {0, tokens_}, .sum = sum});
          }) /
          2);
    }
    return median(times);
  }

  // Replaces products by sleeps of that time, where ranks outnumber cores.
  void sleep_instead(double seconds) { sleep_s_ = seconds; }

  // The two layers; returns their result and their time.
  double run(at::Tensor& result) {
    mesh_.barrier();
    const double seconds = seconds_of([&] {
      ring_gather(
          mesh_, x_, [&](const RingBlock& block) { work(block.rows, [&] { multiply_in(block); }); },
          "gather");
      result = ring_reduce(
          mesh_, {tokens_, part_},
          [&](const RingPart& part) { work(part.rows, [&] { multiply_out(part); }); }, "reduce");
    });
    return mesh_.max(seconds, MeshAxis::kAll);
  }

  int64_t block_bytes() const { return tokens_ * part_ * 4; }

 private:
  static cpu::Rows rows_of(const at::Tensor& t, int64_t row, int64_t column) {
    return cpu::Rows{t.mutable_data_ptr(), t.size(1)}.at(row, column);
  }
  static cpu::Tile tile_of(const at::Tensor& t, const Share& rows) {
    return {t.mutable_data_ptr<float>() + rows.first * t.size(1), t.size(1), rows.count, t.size(1)};
  }

  void work(const Share& rows, const std::function<void()>& product) const {
    if (sleep_s_ <= 0) return product();
    std::this_thread::sleep_for(std::chrono::duration<double>(
        sleep_s_ * static_cast<double>(rows.count) / static_cast<double>(tokens_)));
  }

  void multiply_in(const RingBlock& block) {
    cpu::product_into(tile_of(y_, block.rows),
                      {{.a = rows_of(block.tensor, 0, 0),
                        .b = rows_of(in_, 0, block.source * part_),
                        .is_b_transposed = true,
                        .k = part_}},
                      !block.is_first);
  }
  void multiply_out(const RingPart& part) {
    cpu::product_into(tile_of(part.sum, {0, part.rows.count}),
                      {{.a = rows_of(y_, part.rows.first, 0),
                        .b = rows_of(out_, part.destination * part_, 0),
                        .is_b_transposed = true,
                        .k = hidden_}},
                      false);
  }

  const Mesh& mesh_;
  const int64_t tokens_, part_, hidden_;
  const at::Tensor x_, in_, out_, y_;
  double sleep_s_ = 0;
};

struct RingTimes {
  double compute_s = 0, transfer_s = 0;  // of both layers, all of it
  double async_s = 0, blocking_s = 0;    // medians
  bool has_real_products = false;
  double hidden_fraction() const { return 1 - (async_s - compute_s) / transfer_s; }
};

// Runs the schedules in turn on every rank; rank 0 notes the times.
void time_rings(const RingFlags& flags, const std::shared_ptr<Transport>& plain, RingTimes& times,
                std::atomic<double>& product_s) {
  const int64_t k = flags.procs;
  // Each rank has a core of its own, or none has.
  const bool has_real_products = k <= static_cast<int64_t>(std::thread::hardware_concurrency());
  Mesh untimed = make_mesh(plain, {1, k}, 60);
  RingWork measured(flags, untimed);
  // One core a rank: alone where products sleep later, together where they run together.
  for (int64_t rank = 0; rank < k; ++rank) {
    if (has_real_products || untimed.share(MeshAxis::kModel, k).first == rank) {
      const double seconds = measured.time_product();
      product_s = std::max(product_s.load(), seconds);
      if (has_real_products) break;
    }
    untimed.barrier();
  }
  untimed.barrier();
  const double product = product_s;
  // k products and k - 1 transfers in each layer.
  const double transfer =
      kTransferShare * product * static_cast<double>(k) / static_cast<double>(k - 1);
  const auto link = make_throttled(
      plain, {.bytes_per_second = static_cast<double>(measured.block_bytes()) / transfer});
  Mesh mesh = make_mesh(link, {1, k}, 60);
  mesh.ring.is_two_way = flags.is_two_way;
  RingWork work(flags, mesh);
  if (!has_real_products) work.sleep_instead(product);
  std::vector<double> async_times, blocking_times;
  for (int64_t i = 0; i <= flags.repeats; ++i) {
    at::Tensor with_async, with_blocking;
    mesh.ring.is_asynchronous = true;
    const double a = work.run(with_async);
    mesh.ring.is_asynchronous = false;
    const double b = work.run(with_blocking);
    if (has_real_products && !at::equal(with_async, with_blocking))
      throw InternalError("the asynchronous ring's result differs from the blocking one's");
    if (i == 0) continue;  // memory is touched for the first time
    async_times.push_back(a);
    blocking_times.push_back(b);
  }
  const double layers = 2 * static_cast<double>(k);
  mesh.do_once([&] {
    times = {layers * product, kTransferShare * layers * product, median(async_times),
             median(blocking_times), has_real_products};
  });
}

std::string table_text(const RingFlags& flags, const RingTimes& r, const GatherTimes& g) {
  char text[1024];
  std::snprintf(
      text, sizeof text,
      "%lld ranks, threads of this process, on a throttled link; %s\n"
      "ring (one gathering, one scattering layer): compute %.1f ms, transfers %.1f ms, blocking "
      "%.1f ms, asynchronous %.1f ms\n"
      "  %.1f %% of the transfers hidden, %.2f x faster than blocking\n"
      "sharded store (sleeps for computation): transfers %.1f ms without each pass's first, waited "
      "%.1f ms\n"
      "  %.1f %% hidden\n",
      static_cast<long long>(flags.procs),
      r.has_real_products ? "real products, one core a rank"
                          : "each partial product replaced by a sleep of its time measured alone",
      1e3 * r.compute_s, 1e3 * r.transfer_s, 1e3 * r.blocking_s, 1e3 * r.async_s,
      100 * r.hidden_fraction(), r.blocking_s / r.async_s, 1e3 * g.transfer_s, 1e3 * g.waited_s,
      100 * g.hidden_fraction());
  return text;
}

void run_bench_ring(const RingFlags& flags) {
  begin_command(flags.common);
  if (flags.procs < 2 || flags.procs > 64 || flags.width % flags.procs != 0)
    throw UsageError("--procs ", flags.procs, ": want 2 to 64, a divisor of --width ", flags.width);
  RingTimes ring;
  GatherTimes gather;
  std::atomic<double> product_s{0};
  if (!flags.trace.empty()) start_trace();
  run_as_threads(flags.procs, [&](const std::shared_ptr<Transport>& transport) {
    const at::NoGradGuard no_grad;
    time_rings(flags, transport, ring, product_s);
    time_gathers(flags.procs, transport, gather);
  });
  if (!flags.trace.empty()) save_trace(flags.trace, single_process());
  const nlohmann::ordered_json json = {{"procs", flags.procs},
                                       {"has_real_products", ring.has_real_products},
                                       {"hidden_fraction", ring.hidden_fraction()},
                                       {"speedup_over_blocking", ring.blocking_s / ring.async_s},
                                       {"compute_seconds", ring.compute_s},
                                       {"transfer_seconds", ring.transfer_s},
                                       {"async_seconds", ring.async_s},
                                       {"blocking_seconds", ring.blocking_s},
                                       {"gather_hidden_fraction", gather.hidden_fraction()}};
  print_out(flags.common.is_json ? json.dump(1) + "\n" : table_text(flags, ring, gather));
}

}  // namespace

void add_bench_ring(CLI::App& group) {
  auto flags = std::make_shared<RingFlags>();
  CLI::App* command = group.add_subcommand(
      "ring", "how much of their transfers linear layers and the sharded store hide");
  command->add_option("--procs", flags->procs, "ranks")->capture_default_str();
  command->add_option("--repeats", flags->repeats, "timed runs of each schedule, in turn")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_option("--tokens", flags->tokens, "rows")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  command->add_option("--width", flags->width, "of the residual stream")
      ->capture_default_str()
      ->check(CLI::Range(2, 100'000));
  command->add_flag("--two-way", flags->is_two_way, "halves go round in opposite directions");
  command->add_option("--trace", flags->trace, "write Chrome's trace format here");
  add_common_flags(*command, flags->common, kJson);
  command->callback([flags] { run_bench_ring(*flags); });
}

}  // namespace vit22b
