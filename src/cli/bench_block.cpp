#include "cli/bench_work.h"
#include "eval/vit_predictor.h"
#include "kernels/device_ops.h"
#include "model/engine.h"
#include "model/flops.h"
#include "model/initialise.h"
#include "model/parameter_table.h"
#include "optim/optimizer.h"

namespace vit22b {
namespace {

// One block with its gradients and its optimizer, in both engines.
class BenchBlock {
 public:
  BenchBlock(const ViTConfig& config, const BenchFlags& flags, c10::Device device)
      : config_(config), type_(precision_type(flags.common.precision)) {
    optim_.name = "adafactor";
    optimizer_ = make_optimizer(optim_);
    for (const ParameterRow& row : parameter_table(config_)) {
      if (row.unit != block_unit(0)) continue;
      const std::string& name = row.local_name;
      const bool is_half = flags.has_half_weights && row.shape.size() > 1;
      weights_[name] = randomised_tensor(row, 0).to(device, is_half ? at::kBFloat16 : at::kFloat);
      grads_.tensors[name] = at::zeros(row.shape, device);
      for (const SlotSpec& slot : optimizer_->slots(row))
        slots_[name][slot.name] =
            at::zeros(slot.shape, at::TensorOptions(device).dtype(slot.dtype));
      trained_.insert(name);
    }
    x_BTD_ = at::randn({flags.batch, config_.num_tokens(), config_.embed_dim})
                 .to(device, residual_type(flags.common.precision));
    ours_ = make_engine("fused", single_process(), type_);
    aten_ = make_engine("reference", single_process(), type_);
    packed_ = ours_->prepare(block_, weights_, type_);
  }

  std::vector<Work> works() {
    ViTConfig one = config_, two = config_;
    one.depth = 1;
    two.depth = 2;
    const double flops =
        (forward_flops(two) - forward_flops(one)) * static_cast<double>(x_BTD_.size(0));
    const double bound = type_ == at::kFloat ? 1e-4 : 0.05;
    const auto forward = [this](const Engine& engine, const PackedWeights* ready) {
      return engine.forward({block_, weights_, sequence_}, x_BTD_, ready).to(at::kFloat);
    };
    std::vector<Work> all = {
        {"block forward", flops, [=, this] { return forward(*ours_, packed_.get()); },
         [=, this] { return forward(*aten_, nullptr); }, bound},
        {"block forward and backward", 3 * flops, [this] { return both(*ours_); },
         [this] { return both(*aten_); }, bound},
        {"block forward, backward and update", 3 * flops, [this] { return step(*ours_); },
         [this] { return step(*aten_); }, bound}};
    if (!x_BTD_.is_cuda()) return all;
    replayed_ = device_ops(x_BTD_.device())
                    .replayed(
                        [=, this](const at::Tensor& x) {
                          return ours_->forward({block_, weights_, sequence_}, x, packed_.get());
                        },
                        x_BTD_);
    all.push_back({"block forward, replayed", flops,
                   [this] { return (*replayed_)(x_BTD_).to(at::kFloat); },
                   [=, this] { return forward(*aten_, nullptr); }, bound});
    return all;
  }

 private:
  at::Tensor both(const Engine& engine) {
    std::unique_ptr<SavedActivations> saved;
    const at::Tensor y =
        engine.forward_saving({block_, weights_, sequence_}, x_BTD_, trained_, saved);
    return engine.backward(std::move(saved), y, &grads_).to(at::kFloat);
  }

  // The rate is 0: all is computed and written, and the next run finds the same weights.
  at::Tensor step(const Engine& engine) {
    at::Tensor result = both(engine);
    for (auto& [name, weight] : weights_)
      optimizer_->update_(weight, grads_.tensors.at(name), slots_.at(name), {.name = name});
    return result;
  }

  const ViTConfig config_;
  const BlockSpec block_ = block_spec(config_);
  const Sequence sequence_;
  const at::ScalarType type_;
  OptimConfig optim_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<Engine> ours_, aten_;
  std::unique_ptr<PackedWeights> packed_;
  std::unique_ptr<ReplayedFunction> replayed_;
  NamedTensors weights_;
  UnitGrads grads_;
  std::map<std::string, NamedTensors> slots_;
  std::set<std::string> trained_;
  at::Tensor x_BTD_;
};

}  // namespace

void run_block_bench(const BenchFlags& flags) {
  const c10::Device device = torch_device(begin_command(flags.common));
  const at::NoGradGuard no_grad;
  BenchBlock block(preset_config(flags.name, flags.overrides), flags, device);
  measure(block.works(), flags, device);
}

}  // namespace vit22b
