#include "train/run_log.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/device_spec.h"
#include "core/json.h"
#include "core/log.h"
#include "core/text.h"
#include "kernels/cpu/tile.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

RunLog::RunLog(const TrainConfig& config, double flops_of_sample, int64_t total_steps, double peak,
               Device device, bool is_quiet)
    : total_steps_(total_steps),
      device_(device),
      throughput_(flops_of_sample, peak),
      progress_("train", total_steps, is_quiet) {
  log_info(concat("peak ", config.precision, " GEMM rate: ", formatted("%.3g", peak / 1e12),
                  " TFLOP/s (", data_sheet(device) ? "data sheet" : "measured now", ")"));
}

void RunLog::add_step(int64_t images, double seconds, double waited_seconds) {
  throughput_.add(images, seconds, waited_seconds);
  constexpr double kSmoothing = 0.05;
  smoothed_step_seconds_ =
      smoothed_step_seconds_ == 0
          ? seconds
          : smoothed_step_seconds_ + kSmoothing * (seconds - smoothed_step_seconds_);
}

void RunLog::show_progress(int64_t step) {
  progress_.update(step);
}

std::string RunLog::report(const TrainerState& state, const StepResult& result,
                           double learning_rate, const std::vector<AttentionSignals>& signals) {
  const Speed speed = throughput_.take();
  const int64_t memory = peak_memory_bytes(device_);
  const double eta = smoothed_step_seconds_ * static_cast<double>(total_steps_ - state.step);
  const std::string line = concat(
      "step ", state.step, "/", total_steps_, "  loss ", formatted("%.4g", result.loss), "  lr ",
      formatted("%.2g", learning_rate), "  |g| ", formatted("%.3g", result.report.gradient_norm),
      "  ", formatted("%.0f", speed.images_per_second), " img/s  data ",
      formatted("%.0f", 100 * speed.data_share), " %  ",
      speed.flops > 0 ? concat(formatted("%.3g", speed.flops / 1e12), " TFLOP/s  mfu ",
                               formatted("%.0f", 100 * speed.mfu), " %  ")
                      : "",  // the model is not run
      human_bytes(static_cast<double>(memory)), "  eta ", human_duration(eta));
  if (stderr_is_terminal()) {
    log_file_only(line);
    progress_.update(state.step, "loss " + formatted("%.4g", result.loss) + "  " +
                                     formatted("%.0f", speed.images_per_second) + " img/s");
  } else {
    log_info(line);
  }
  Json logits = Json::array(), entropies = Json::array();
  for (const AttentionSignals& s : signals) {
    logits.push_back(number_or_null<Json>(s.max_logit));
    entropies.push_back(number_or_null<Json>(s.entropy));
  }
  return Json{{"step", state.step},
              {"training_loss", number_or_null<Json>(result.loss)},
              {"l2_grads", number_or_null<Json>(result.report.gradient_norm)},
              {"lr", learning_rate},
              {"img_per_sec", number_or_null<Json>(speed.images_per_second)},
              {"data_share", number_or_null<Json>(speed.data_share)},
              {"mfu", number_or_null<Json>(speed.mfu)},
              {"peak_memory_bytes", memory},
              {"examples_seen", state.examples_seen},
              {"train_seconds", state.train_seconds},
              {"attention_max_logit", logits},
              {"attention_entropy", entropies}}
      .dump();
}

std::string validation_line(int64_t step, const std::map<std::string, double>& metrics) {
  Json row = {{"step", step}};
  for (const auto& [name, value] : metrics) row["val/" + name] = number_or_null<Json>(value);
  return row.dump();
}

std::string validation_text(int64_t step, const std::vector<Metric>& metrics,
                            const std::map<std::string, double>& values) {
  constexpr size_t kShown = 2;
  std::string line = concat("step ", step);
  for (size_t i = 0; i < std::min(kShown, metrics.size()); ++i)
    line += concat("  val ", metrics[i].name, " ", values.at(metrics[i].name));
  return line;
}

std::map<std::string, std::string> run_layout(const TrainConfig& config, const Mesh& mesh) {
  return {{"accumulate", std::to_string(config.accumulate)},
          {"mesh", concat(mesh.size(MeshAxis::kData), "x", mesh.size(MeshAxis::kModel))},
          {"threads", std::to_string(at::get_num_threads())},
          {"isa", at::get_cpu_capability()},
          {"kernels", cpu::kernels_in_use()},
          {"program", program_version()}};
}

}  // namespace vit22b
