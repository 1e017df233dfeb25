#include "train/step.h"

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include "store/accumulate.h"
#include "store/host_memory.h"
#include "store/update_now.h"
#include "support/device.h"
#include "support/tiny_model.h"

namespace vit22b {
namespace {

/// Counts c10's warnings while it lives.
class CountedWarnings : public c10::WarningHandler {
 public:
  CountedWarnings() : old_(c10::WarningUtils::get_warning_handler()) {
    c10::WarningUtils::set_warning_handler(this);
    c10::WarningUtils::set_warnAlways(true);
  }
  ~CountedWarnings() override {
    c10::WarningUtils::set_warning_handler(old_);
    c10::WarningUtils::set_warnAlways(false);
  }
  void process(const c10::Warning& warning) override { texts.push_back(warning.msg()); }
  std::vector<std::string> texts;

 private:
  c10::WarningHandler* old_;
};

/// A whole step of a small model in an engine of its own, on the tests' device.
struct StepCase {
  explicit StepCase(const std::string& optimizer_name)
      : StepCase(optimizer_name, std::make_unique<DeviceMemory>(test::device()), false) {}
  StepCase(const std::string& optimizer_name, std::unique_ptr<StateMemory> lies_in, bool is_now)
      : model(test::tiny_config()), memory(std::move(lies_in)) {
    model.config.depth = 2;
    model.table = parameter_table(model.config);
    optim.name = optimizer_name;
    optim.lr = 0.01;
    FunctionSource source([&](const ParameterRow& row) { return model.weights.at(row.name); });
    store = std::make_unique<ResidentStore>(model.table, source, at::kFloat, *memory, model.mesh);
    optimizer = make_optimizer(optim);
    const UpdatingSink::Parts parts{*optimizer, *store, model.mesh, *memory};
    const std::vector<ParameterRule> rules = make_rules(model.table, optim, {});
    if (is_now)
      sink = std::make_unique<UpdateNow>(model.table, rules, optim, parts);
    else
      sink = std::make_unique<Accumulate>(model.table, rules, optim, parts);
    engine = make_engine("fused");
    TrainConfig config;
    config.model = model.config;
    task = make_task(config, {});
    at::manual_seed(1);
    images = model.images(4).to(test::device());
    labels = at::arange(4, at::kLong).to(test::device());
  }
  StepResult run(double scale_of_images = 1, int64_t pieces = 2) {
    return run_step(
        {{model.config, *engine, model.mesh, at::kFloat}, *store, *sink}, *task,
        {batch_of(images * scale_of_images, labels), pieces, false, {.learning_rate_scale = 1}});
  }

  test::TinyModel model;
  OptimConfig optim;
  std::unique_ptr<StateMemory> memory;
  std::unique_ptr<ResidentStore> store;
  std::unique_ptr<Optimizer> optimizer;
  std::unique_ptr<UpdatingSink> sink;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<Task> task;
  at::Tensor images, labels;
};

TEST(Step, ALossThatIsNotFiniteChangesNothing) {
  const at::NoGradGuard no_grad;
  StepCase step("adamw");
  NamedTensors before;
  for (const auto& [name, tensor] : step.store->by_full_name()) before[name] = tensor.clone();
  EXPECT_FALSE(std::isfinite(step.run(std::nan("")).loss));
  for (const auto& [name, tensor] : step.store->by_full_name())
    EXPECT_TRUE(at::equal(tensor, before.at(name))) << name;
  EXPECT_TRUE(std::isfinite(step.run().loss));
  EXPECT_FALSE(at::equal(step.store->by_full_name().at("pos_embed"), before.at("pos_embed")));
}

TEST(OnAGpuStep, WithItsStateOnTheHostEqualsOneInTheDevicesMemoryBitForBit) {
  const at::NoGradGuard no_grad;
  for (const char* optimizer : {"adamw", "adafactor", "sgd"})
    for (const bool is_now : {false, true}) {
      StepCase device(optimizer, std::make_unique<DeviceMemory>(test::device()), is_now);
      StepCase host(optimizer, std::make_unique<HostMemory>(test::device()), is_now);
      for (int i = 0; i < 3; ++i) {
        device.run(1, is_now ? 1 : 2);
        host.run(1, is_now ? 1 : 2);
      }
      const NamedTensors want = device.store->by_full_name();
      for (const auto& [name, tensor] : host.store->by_full_name()) {
        EXPECT_TRUE(tensor.is_cpu());
        EXPECT_TRUE(at::equal(tensor, want.at(name).cpu())) << optimizer << " " << name;
      }
      const NamedParts state = device.sink->state();
      for (const auto& [name, part] : host.sink->state())
        EXPECT_TRUE(at::equal(part.part, state.at(name).part.cpu())) << optimizer << " " << name;
    }
}

TEST(OnAGpu, AStepWaitsForTheDeviceAtItsEndAlone) {
  if (test::device().is_cpu()) GTEST_SKIP() << "NO GPU TESTED: this counts a GPU's waits";
  const at::NoGradGuard no_grad;
  for (const char* optimizer : {"adamw", "adafactor", "sgd"})
    for (const bool is_now : {false, true}) {
      StepCase step(optimizer, std::make_unique<DeviceMemory>(test::device()), is_now);
      const int64_t pieces = is_now ? 1 : 2;
      step.run(1, pieces);  // libraries set themselves up in the first
      CountedWarnings warnings;
      test::gpu_ops().report_waiting(true);
      step.run(1, pieces);
      test::gpu_ops().report_waiting(false);
      // The gradient's norm, the clip factor, the loss and the stop flag are read one after the
      // other, when nothing is left to wait for but the first.
      EXPECT_EQ(warnings.texts.size(), 4U)
          << optimizer << (is_now ? " now: " : ": ") << ::testing::PrintToString(warnings.texts);
    }
}

}  // namespace
}  // namespace vit22b
