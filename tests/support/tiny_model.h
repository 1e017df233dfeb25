#pragma once
#include <memory>
#include <string>

#include "model/initialise.h"
#include "model/vit.h"
#include "store/resident.h"

namespace vit22b::test {

/// A small model with every parameter randomised, and what its passes need.
struct TinyModel {
  explicit TinyModel(ViTConfig model_config, ActivationPolicy activation = ActivationPolicy::kKeep)
      : config(std::move(model_config)), table(parameter_table(config)), policy(activation) {
    for (const ParameterRow& row : table) weights[row.name] = randomised_tensor(row, 1);
    store = std::make_shared<ResidentStore>(table, weights, c10::kCPU);
  }
  ModelContext context() const { return {config, *engine, mesh, at::kFloat, policy}; }
  at::Tensor images(int64_t count) const {
    return at::randn({count, config.in_chans, config.img_size.height, config.img_size.width});
  }

  ViTConfig config;
  std::vector<ParameterRow> table;
  ActivationPolicy policy;
  NamedTensors weights;
  std::shared_ptr<ResidentStore> store;
  Mesh mesh;
  std::unique_ptr<Engine> engine = make_engine("reference");
};

inline ViTConfig tiny_config(const std::string& block = "parallel") {
  ViTConfig config = preset("test8", block);
  config.img_size = {8, 16};
  config.patch_size = 4;
  config.embed_dim = 12;
  config.num_heads = 3;
  config.mlp.mlp_ratio = 2.5;
  config.depth = 3;
  config.num_classes = 5;
  return config;
}

}  // namespace vit22b::test
