#include "store/accumulate.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/files.h"
#include "support/tensors.h"
#include "support/tiny_model.h"

namespace vit22b {
namespace {

using test::tiny_config;
using test::TinyModel;

OptimConfig plain_sgd() {
  OptimConfig config;
  config.name = "sgd";
  config.momentum = 0;
  config.lr = 1;
  config.weight_decay = config.head_weight_decay = 0;
  config.clip_norm = 0;
  return config;
}

DeviceMemory memory(c10::kCPU);

/// Gives every trained tensor a gradient of one value, as a backward pass would.
void commit_all(Accumulate& sink, const ViTConfig& config, double value) {
  for (const Unit& unit : model_units(config)) {
    if (sink.trained(unit).empty()) continue;
    UnitGrads& grads = sink.begin(unit);
    for (auto& [name, gradient] : grads.tensors)
      grads.is_overwrite ? gradient.fill_(value) : gradient.add_(value);
    sink.commit(unit);
  }
}

TEST(Accumulate, AddsPiecesAndScalesThemOnce) {
  const at::NoGradGuard no_grad;
  TinyModel model(tiny_config());
  const OptimConfig config = plain_sgd();
  const auto optimizer = make_optimizer(config);
  Accumulate sink(model.table, make_rules(model.table, config, {}), config,
                  {*optimizer, *model.store, model.mesh, memory});
  const at::Tensor before = model.store->weight(model.table.back()).clone();
  commit_all(sink, model.config, 1);
  commit_all(sink, model.config, 3);
  sink.finish({.gradient_scale = 0.5});
  EXPECT_TRUE(at::allclose(model.store->weight(model.table.back()), before - 2));
  commit_all(sink, model.config, 1);  // the next step overwrites what is left
  sink.finish({});
  EXPECT_TRUE(at::allclose(model.store->weight(model.table.back()), before - 3));
}

TEST(Accumulate, AUnitThatNoLossHasReachedHasAGradientOfZero) {
  const at::NoGradGuard no_grad;
  TinyModel model(tiny_config());
  const OptimConfig config = plain_sgd();
  const auto optimizer = make_optimizer(config);
  Accumulate sink(model.table, make_rules(model.table, config, {}), config,
                  {*optimizer, *model.store, model.mesh, memory});
  commit_all(sink, model.config, 1);
  sink.finish({});
  const at::Tensor before = model.store->weight(model.table.back()).clone();
  UnitGrads& grads = sink.begin(block_unit(1));  // this step ends below it
  int64_t count = 0;
  for (auto& [name, gradient] : grads.tensors) count += gradient.fill_(1).numel();
  sink.commit(block_unit(1));
  EXPECT_NEAR(sink.finish({}).gradient_norm, std::sqrt(static_cast<double>(count)), 1e-6);
  EXPECT_TRUE(at::equal(model.store->weight(model.table.back()), before));
}

TEST(Accumulate, ClipsByTheExactGlobalNorm) {
  const at::NoGradGuard no_grad;
  TinyModel model(tiny_config());
  OptimConfig config = plain_sgd();
  config.clip_norm = 1;
  const auto optimizer = make_optimizer(config);
  Accumulate sink(model.table, make_rules(model.table, config, {}), config,
                  {*optimizer, *model.store, model.mesh, memory});
  commit_all(sink, model.config, 2);
  const StepReport report = sink.finish({});
  const double want = 2 * std::sqrt(static_cast<double>(count_parameters(model.table).total));
  EXPECT_NEAR(report.gradient_norm, want, 1e-4 * want);
  EXPECT_NEAR(report.clip_scale, 1 / want, 1e-4 / want);
}

TEST(Accumulate, AGradientThatIsNotFiniteChangesNothingAndIsNamed) {
  const at::NoGradGuard no_grad;
  TinyModel model(tiny_config());
  const OptimConfig config = plain_sgd();
  const auto optimizer = make_optimizer(config);
  Accumulate sink(model.table, make_rules(model.table, config, {}), config,
                  {*optimizer, *model.store, model.mesh, memory});
  commit_all(sink, model.config, 1);
  sink.begin(block_unit(1)).tensors.at("mlp_bias")[3] = INFINITY;
  const NamedTensors before = model.weights;
  const StepReport report = sink.finish({});
  EXPECT_EQ(report.bad_tensor, "blocks.1.mlp_bias");
  for (const auto& [name, weight] : model.store->by_full_name())
    EXPECT_TRUE(test::is_same(weight, before.at(name))) << name;
}

TEST(Accumulate, FrozenRowsHaveNoGradientAndNoState) {
  TinyModel model(tiny_config());
  const OptimConfig config;
  const auto optimizer = make_optimizer(config);
  Accumulate sink(model.table, make_rules(model.table, config, {{"blocks.*"}}), config,
                  {*optimizer, *model.store, model.mesh, memory});
  EXPECT_TRUE(sink.trained(block_unit(0)).empty());
  for (const auto& [name, slot] : sink.state())
    EXPECT_EQ(name.find("blocks."), std::string::npos) << name;
}

TEST(Accumulate, StateRoundTripsAndAnotherOptimizersIsRefused) {
  TinyModel model(tiny_config());
  const OptimConfig config;
  const auto optimizer = make_optimizer(config);
  Accumulate sink(model.table, make_rules(model.table, config, {}), config,
                  {*optimizer, *model.store, model.mesh, memory});
  NamedTensors state;
  for (const auto& [name, slot] : sink.state())
    state[name] = at::randn(slot.part.sizes()).to(slot.part.scalar_type());
  sink.load_state([&](const std::string& name) { return state.at(name); });
  for (const auto& [name, slot] : sink.state())
    EXPECT_TRUE(test::is_same(slot.part, state.at(name))) << name;
  EXPECT_NE(test::error_of<CheckpointError>([&] {
              sink.load_state([](const std::string&) { return at::Tensor(); });
            }).find("was the run trained with another optimizer?"),
            std::string::npos);
}

}  // namespace
}  // namespace vit22b
