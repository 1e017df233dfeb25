#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "checkpoint/model_info.h"
#include "checkpoint/weights.h"
#include "cli/bench.h"
#include "cli/named_model.h"
#include "core/alternation.h"
#include "core/error.h"
#include "eval/vit_predictor.h"
#include "kernels/device_ops.h"
#include "kernels/shape.h"
#include "model/flops.h"
#include "model/initialise.h"
#include "store/accumulate.h"
#include "store/resident.h"
#include "train/step.h"
#include "train/throughput.h"

namespace vit22b {
namespace {

struct ModelBenchFlags : BenchFlags {
  std::string mode = "infer";
};

/// A checkpoint's model as it is, or a preset's with random values of every parameter.
struct Subject {
  ViTConfig config;
  std::vector<ParameterRow> table;
  NamedTensors weights;
};

Subject subject(const ModelBenchFlags& flags) {
  const auto checkpoint = named_checkpoint(flags.name, flags.overrides);
  const ViTConfig config =
      checkpoint ? read_model_info(*checkpoint).config : preset_config(flags.name, flags.overrides);
  Subject made{config, parameter_table(config), {}};
  if (checkpoint)
    made.weights = load_weights(*checkpoint, made.table);
  else
    for (const ParameterRow& row : made.table) made.weights[row.name] = randomised_tensor(row, 0);
  return made;
}

/// A model, and one unit of its work.
class BenchModel {
 public:
  BenchModel(const Subject& subject, const ModelBenchFlags& flags, const Device& device)
      : config_(subject.config),
        flags_(flags),
        device_(torch_device(device)),
        engine_(make_engine(flags.common.engine, mesh_, precision_type(flags.common.precision))),
        memory_(device_) {
    const std::vector<ParameterRow>& table = subject.table;
    store_ = std::make_unique<ResidentStore>(table, subject.weights, device_);
    optim_.name = "adamw";
    optimizer_ = make_optimizer(optim_);
    if (flags.mode == "train")
      sink_ =
          std::make_unique<Accumulate>(table, make_rules(table, optim_, {}), optim_,
                                       UpdatingSink::Parts{*optimizer_, *store_, mesh_, memory_});
    images_BCHW_ =
        at::randn({flags.batch, config_.in_chans, config_.img_size.height, config_.img_size.width})
            .to(device_);
    labels_B_ = at::arange(flags.batch, at::kLong)
                    .remainder(std::max<int64_t>(1, config_.num_classes))
                    .to(device_);
    TrainConfig training;
    training.model = config_;
    task_ = make_task(training, device);
  }

  /// The engine's logits against the reference engine's in fp32, relative to the largest.
  double check_answer() {
    const auto reference = make_engine("reference");
    const at::Tensor few = images_BCHW_.slice(0, 0, 1);
    const at::Tensor want =
        output(vit_forward({config_, *reference, mesh_, at::kFloat}, *store_, few, {}));
    const at::Tensor got = output(vit_forward(context(), *store_, few, {}));
    if (!at::isfinite(got).all().item<bool>())
      throw NumbersError("bench: the model's answer is not finite");
    return ((got - want).abs().max() / want.abs().max()).item<double>();
  }

  void run_once() {
    if (sink_ != nullptr)
      run_step({context(), *store_, *sink_}, *task_,
               {batch_of(images_BCHW_, labels_B_), 1, false, {.learning_rate_scale = 0}});
    else
      infer();
  }

 private:
  // Recorded once where the device can.
  void infer() {
    if (replayed_ == nullptr)
      replayed_ = device_ops(device_).replayed(
          [this](const at::Tensor& images) {
            return output(vit_forward(context(), *store_, images, {}));
          },
          images_BCHW_);
    (*replayed_)(images_BCHW_).sum().item<double>();  // waits for the device
  }
  static at::Tensor output(const VitOutputs& outputs) {
    return (outputs.logits_BC.defined() ? outputs.logits_BC : outputs.pooled_BD).to(at::kFloat);
  }
  ModelContext context() {
    return {config_,
            *engine_,
            mesh_,
            precision_type(flags_.common.precision),
            ActivationPolicy::kKeep,
            sink_ == nullptr ? &packed_ : nullptr,
            /*inputs=*/nullptr,
            residual_type(flags_.common.precision)};
  }

  ViTConfig config_;
  const ModelBenchFlags& flags_;
  c10::Device device_;
  Mesh mesh_;
  std::unique_ptr<Engine> engine_;
  DeviceMemory memory_;
  PackedCache packed_;
  OptimConfig optim_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<ResidentStore> store_;
  std::unique_ptr<Accumulate> sink_;
  std::unique_ptr<Task> task_;
  std::unique_ptr<ReplayedFunction> replayed_;
  at::Tensor images_BCHW_, labels_B_;
};

void run_bench(const ModelBenchFlags& flags) {
  const Device device = begin_command(flags.common);
  const at::NoGradGuard no_grad;
  Subject of = subject(flags);
  const ViTConfig config = of.config;
  BenchModel model(of, flags, device);
  of.weights.clear();  // the store has its own
  const double error = model.check_answer();
  const std::string& precision = flags.common.precision;
  const double bound = precision == "fp32" ? 1e-4 : 0.1;
  if (error > bound)
    throw NumbersError("bench: the ", flags.common.engine, " engine's answer is off by ", error,
                       " of the largest logit, want ", bound);
  double gemm_rate = 0;
  const std::vector<Timing> timings =
      alternate({{"gemm", [&] { gemm_rate = std::max(gemm_rate, peak_flops(device, precision)); }},
                 {"model", [&] { model.run_once(); }}},
                flags.repeats);
  const Timing& timing = timings[1];
  const double flops = flags.mode == "train" ? train_flops(config) : forward_flops(config);
  const double rate = static_cast<double>(flags.batch) / timing.median;
  const double spread = timing.slowest - timing.fastest;
  const nlohmann::ordered_json json = {{"model", flags.name},
                                       {"mode", flags.mode},
                                       {"engine", flags.common.engine},
                                       {"precision", flags.common.precision},
                                       {"batch", flags.batch},
                                       {"relative_error", error},
                                       {"images_per_second", rate},
                                       {"gflops", rate * flops / 1e9},
                                       {"gemm_gflops", gemm_rate / 1e9},
                                       {"peak_memory_bytes", peak_memory_bytes(device)},
                                       {"seconds_median", timing.median},
                                       {"seconds_spread", spread}};
  char line[512];
  std::snprintf(line, sizeof line,
                "%s %s %s %s batch %lld: %.2f img/s, %.1f GFLOP/s (best GEMM here %.1f), %.4f s "
                "median, spread %.4f s over %lld runs, peak memory %s\n",
                flags.name.c_str(), flags.mode.c_str(), flags.common.engine.c_str(),
                flags.common.precision.c_str(), static_cast<long long>(flags.batch), rate,
                rate * flops / 1e9, gemm_rate / 1e9, timing.median, spread,
                static_cast<long long>(flags.repeats),
                human_bytes(static_cast<double>(peak_memory_bytes(device))).c_str());
  print_out(flags.common.is_json ? json.dump(1) + "\n" : line);
}

}  // namespace

void add_bench_model(CLI::App& group) {
  auto flags = std::make_shared<ModelBenchFlags>();
  CLI::App* model = group.add_subcommand(
      "model", "images per second of a model, beside the machine's GEMM rate in the same run");
  flags->add_to(*model, kDevice | kPrecision | kJson);
  model->get_option("name")->description("preset or checkpoint");
  model->add_option("--mode", flags->mode, "infer or train (forward, backward, AdamW)")
      ->capture_default_str()
      ->check(CLI::IsMember({"infer", "train"}));
  model->callback([flags] { run_bench(*flags); });
}

}  // namespace vit22b
