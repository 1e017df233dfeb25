#include "model/activation_bytes.h"

#include <gtest/gtest.h>

#include "kernels/cpu/product.h"
#include "store/accumulate.h"
#include "store/block_inputs.h"
#include "support/memory_meter.h"
#include "support/tiny_model.h"

namespace vit22b {
namespace {

ViTConfig wide_config(const std::string& block, int64_t depth) {
  ViTConfig config = preset("s16", block);
  config.img_size = {160, 160};
  config.embed_dim = 256;
  config.num_heads = 4;
  config.depth = depth;
  config.num_classes = 10;
  return config;
}

at::ScalarType factor_type(at::ScalarType type) {
  const auto storage = type == at::kFloat ? cpu::Storage::kFloat32 : cpu::Storage::kBFloat16;
  return cpu::best_arithmetic(storage) == cpu::Arithmetic::kHalf ? at::kBFloat16 : at::kFloat;
}

// Of products and of the residual stream.
constexpr std::pair<at::ScalarType, at::ScalarType> kTypes[] = {
    {at::kFloat, at::kFloat}, {at::kBFloat16, at::kBFloat16}, {at::kBFloat16, at::kFloat}};

// The most bytes that a step's forward and backward passes hold, gradients left out.
int64_t measured(const ViTConfig& config, const ActivationWork& work) {
  const at::NoGradGuard no_grad;
  const test::TinyModel model(config, work.policy);
  const std::unique_ptr<Engine> engine = make_engine("fused", model.mesh, work.compute_type);
  OptimConfig optim;
  const std::unique_ptr<Optimizer> optimizer = make_optimizer(optim);
  DeviceMemory memory(c10::kCPU);
  Accumulate sink(model.table, make_rules(model.table, optim, {}), optim,
                  {*optimizer, *model.store, model.mesh, memory});
  ModelContext context{model.config, *engine, model.mesh, work.compute_type, work.policy};
  context.residual_type = work.residual_type;
  FileInputs elsewhere(std::filesystem::temp_directory_path());
  if (!work.keeps_inputs) context.inputs = &elsewhere;
  const at::Tensor images = model.images(work.images);
  int64_t peak = 0;
  for (int i = 0; i < 2; ++i) {  // a first pass makes what stays
    const test::MemoryMeter meter;
    VitTape tape;
    at::Tensor logits =
        vit_forward(context, *model.store, images, {.tape = &tape, .sink = &sink}).logits_BC;
    vit_backward(context, *model.store, tape, {.logits_BC = at::ones_like(logits)}, &sink);
    peak = meter.peak();
    sink.finish({});
  }
  return peak;
}

TEST(ActivationBytes, AreWhatATrainingStepOfTheFusedEngineAllocates) {
  for (const char* block : {"parallel", "serial"})
    for (const auto& [type, residual] : kTypes)
      for (const auto& [policy, keeps_inputs] : {std::pair{ActivationPolicy::kKeep, true},
                                                 {ActivationPolicy::kRecompute, true},
                                                 {ActivationPolicy::kRecompute, false}})
        for (const int64_t depth : {1, 5}) {
          const ViTConfig config = wide_config(block, depth);
          const ActivationWork work{.images = 4,
                                    .compute_type = type,
                                    .residual_type = residual,
                                    .factor_type = factor_type(type),
                                    .policy = policy,
                                    .keeps_inputs = keeps_inputs};
          const ActivationBytes bytes = training_activation_bytes(config, work);
          const auto want = static_cast<double>(measured(config, work));
          // Few and small tensors are left out.
          EXPECT_NEAR(static_cast<double>(
                          std::max({bytes.forward, bytes.pool_backward, bytes.block_backward})),
                      want, 0.03 * want)
              << block << " " << c10::toString(type) << " on " << c10::toString(residual)
              << " depth " << depth << " recompute " << (policy == ActivationPolicy::kRecompute)
              << " inputs here " << keeps_inputs;
        }
}

TEST(ActivationBytes, AreWhatAForwardPassOfTheFusedEngineAllocates) {
  const at::NoGradGuard no_grad;
  for (const char* block : {"parallel", "serial"})
    for (const auto& [type, residual] : kTypes) {
      const test::TinyModel model(wide_config(block, 3));
      const std::unique_ptr<Engine> engine = make_engine("fused", model.mesh, type);
      ModelContext context{model.config, *engine, model.mesh, type};
      context.residual_type = residual;
      const at::Tensor images = model.images(4);
      int64_t peak = 0;
      for (int i = 0; i < 2; ++i) {
        const test::MemoryMeter meter;
        vit_forward(context, *model.store, images, {});
        peak = meter.peak();
      }
      const ActivationWork work{.images = 4,
                                .compute_type = type,
                                .residual_type = residual,
                                .factor_type = factor_type(type)};
      EXPECT_NEAR(static_cast<double>(inference_activation_bytes(model.config, work)),
                  static_cast<double>(peak), 0.1 * static_cast<double>(peak))
          << block << " " << c10::toString(type) << " on " << c10::toString(residual);
    }
}

}  // namespace
}  // namespace vit22b
