#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/bench.h"
#include "cli/checkpoint_flags.h"
#include "core/alternation.h"
#include "core/error.h"
#include "core/text.h"
#include "eval/load_predictor.h"
#include "model/flops.h"
#include "train/throughput.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

struct StreamBenchFlags {
  CommonFlags common;
  std::string checkpoint;
  int64_t batch = 8, repeats = 3;
  bool has_cold_passes = false;
};

/// A checkpoint's weight files as the disk sees them.
class WeightFilesOnDisk {
 public:
  explicit WeightFilesOnDisk(const fs::path& folder) {
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.path().extension() == ".safetensors") paths_.push_back(entry.path());
  }

  /// Lets the system forget what it has read of them.
  void drop_cache() const {
    for_each([](int descriptor) {
      fdatasync(descriptor);
      posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
    });
  }
  /// Reads every byte once.
  void read_all() const {
    std::vector<char> buffer(4 << 20);
    for_each([&](int descriptor) {
      while (::read(descriptor, buffer.data(), buffer.size()) > 0) {
      }
    });
  }
  double bytes() const {
    double sum = 0;
    for (const fs::path& path : paths_) sum += static_cast<double>(fs::file_size(path));
    return sum;
  }

 private:
  void for_each(const std::function<void(int descriptor)>& act) const {
    for (const fs::path& path : paths_) {
      const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
      if (descriptor < 0) throw CheckpointError(path.string(), " cannot be opened");
      act(descriptor);
      ::close(descriptor);
    }
  }
  std::vector<fs::path> paths_;
};

nlohmann::ordered_json measure_stream(const StreamBenchFlags& flags, const Device& device) {
  const PredictorOptions options = predictor_options(flags.common, device);
  PredictorOptions streaming = options;
  streaming.store = "streamed";
  const LoadedModel resident = load_predictor(flags.checkpoint, options),
                    streamed = load_predictor(flags.checkpoint, streaming);
  const ViTConfig& config = resident.info.config;
  const WeightFilesOnDisk disk(resident.checkpoint.folder);
  const at::Tensor images =
      at::randn({flags.batch, config.in_chans, config.img_size.height, config.img_size.width});
  const auto pass = [&](const LoadedModel& model) {
    return model.predictor->features(images, {}).pooled_BD;
  };
  if (!at::equal(pass(resident), pass(streamed)))
    throw NumbersError("bench: the streamed model's answer is not the resident model's");

  double gemm_rate = 0;
  std::vector<Contender> contenders = {
      {"gemm",
       [&] { gemm_rate = std::max(gemm_rate, peak_flops(device, flags.common.precision)); }},
      {"resident", [&] { pass(resident); }},
      {"streamed", [&] { pass(streamed); }}};
  std::vector<double> disk_runs, cold_runs;
  if (flags.has_cold_passes) {
    contenders.push_back({"disk", [&] {
                            disk.drop_cache();
                            disk_runs.push_back(seconds_of([&] { disk.read_all(); }));
                          }});
    contenders.push_back({"cold", [&] {
                            disk.drop_cache();
                            cold_runs.push_back(seconds_of([&] { pass(streamed); }));
                          }});
    contenders.push_back({"warm again", [&] { disk.read_all(); }});
  }
  const std::vector<Timing> timings = alternate(contenders, flags.repeats);
  const auto batch = static_cast<double>(flags.batch);
  nlohmann::ordered_json json = {
      {"batch", flags.batch},
      {"precision", flags.common.precision},
      {"images_per_second_resident", batch / timings[1].median},
      {"images_per_second_streamed", batch / timings[2].median},
      {"streamed_over_resident", timings[1].median / timings[2].median},
      {"seconds_spread_resident", timings[1].slowest - timings[1].fastest},
      {"seconds_spread_streamed", timings[2].slowest - timings[2].fastest},
      {"gflops_streamed", batch * forward_flops(config) / timings[2].median / 1e9},
      {"gemm_gflops", gemm_rate / 1e9},
      {"weights", streamed.predictor->transfers_text()},
      {"peak_memory_bytes", peak_memory_bytes(device)}};
  if (flags.has_cold_passes) {
    const double disk_seconds = median(disk_runs), cold_seconds = median(cold_runs);
    json["disk_bytes_per_second"] = disk.bytes() / disk_seconds;
    json["seconds_cold"] = cold_seconds;
    json["cold_over_bound"] = cold_seconds / std::max(timings[2].median, disk_seconds);
  }
  return json;
}

void run_bench(const StreamBenchFlags& flags) {
  const Device device = begin_command(flags.common);
  const nlohmann::ordered_json json = measure_stream(flags, device);
  if (flags.common.is_json) return print_out(json.dump(1) + "\n");
  std::string text;
  for (const auto& [key, value] : json.items())
    text += key + "  " + (value.is_string() ? value.get<std::string>() : value.dump()) + "\n";
  print_out(text);
}

}  // namespace

void add_bench_stream(CLI::App& group) {
  auto flags = std::make_shared<StreamBenchFlags>();
  CLI::App* stream = group.add_subcommand(
      "stream", "a checkpoint's forward pass with weights read anew, beside weights in memory");
  stream->add_option("checkpoint", flags->checkpoint, "checkpoint folder")->required();
  stream->add_option("--batch", flags->batch, "images a batch")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  stream->add_option("--repeats", flags->repeats, "timed runs of each, in turn")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
  stream->add_flag("--cold", flags->has_cold_passes,
                   "also with the files out of the system's cache, beside reading them alone");
  add_common_flags(*stream, flags->common, kDevice | kPrecision | kJson);
  stream->callback([flags] { run_bench(*flags); });
}

}  // namespace vit22b
