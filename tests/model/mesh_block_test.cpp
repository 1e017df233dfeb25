#include <gtest/gtest.h>

#include "dist/threads.h"
#include "model/initialise.h"
#include "support/tiny_model.h"

// What a block sends on a model axis, against the formulas of docs/parallelism.md.
namespace vit22b {
namespace {

ViTConfig config_of(const std::string& block) {
  ViTConfig config = test::tiny_config(block);
  config.embed_dim = 48;
  config.num_heads = 12;
  return config;
}

/// One block of a rank, with every weight trained.
struct RankBlock {
  RankBlock(const ViTConfig& model, const Mesh& mesh, const std::string& engine_name)
      : config(model), engine(make_engine(engine_name, mesh)) {
    for (const ParameterRow& row : parameter_table(config)) {
      if (row.unit != block_unit(0)) continue;
      weights[row.local_name] =
          part_of(randomised_tensor(row, 1), tensor_cut(row), place_of(mesh)).contiguous();
      grads.tensors[row.local_name] = at::zeros_like(weights[row.local_name]);
      trained.insert(row.local_name);
    }
    const Share own = mesh.share(MeshAxis::kModel, config.embed_dim);
    x_BTD = at::randn({2, 5, own.count});
  }

  ViTConfig config;
  std::unique_ptr<Engine> engine;
  NamedTensors weights;
  UnitGrads grads;
  std::set<std::string> trained;
  at::Tensor x_BTD;
};

TEST(BlockOnAModelAxis, SendsWhatTheFormulasSayWithEachActivationPolicy) {
  constexpr int64_t kTokens = 10, kFloat = 4;
  for (const std::string block : {"parallel", "serial"})
    for (const int64_t k : {2, 3, 4, 6})
      run_as_threads(k, [&](const std::shared_ptr<Transport>& transport) {
        const at::NoGradGuard no_grad;
        const Mesh mesh = make_mesh(transport, {1, k}, 30);
        Communicator& ranks = mesh.along(MeshAxis::kModel);
        RankBlock rank(config_of(block), mesh, "fused");
        // The parallel block has one in-projection, one out-projection and one RMSNorm; the serial
        // two of each, and LayerNorm, which sends a mean as well.
        const int64_t layers = block == "parallel" ? 1 : 2;
        const int64_t ring = (k - 1) * kTokens * rank.config.embed_dim / k * kFloat,
                      norm = layers * (k - 1) * kTokens * kFloat;
        std::unique_ptr<SavedActivations> saved;
        int64_t before = ranks.bytes_sent();
        const auto sent = [&] {
          const int64_t bytes = ranks.bytes_sent() - before;
          before += bytes;
          return bytes;
        };
        const at::Tensor y = rank.engine->forward_saving(
            {block_spec(rank.config, mesh), rank.weights, {}}, rank.x_BTD, rank.trained, saved);
        EXPECT_EQ(sent(), layers * (2 * ring + norm)) << "forward, k = " << k;
        rank.engine->backward(std::move(saved), y, &rank.grads);
        EXPECT_EQ(sent(), layers * (2 * ring + norm)) << "backward with the gathered input kept";
        rank.engine->save_again({block_spec(rank.config, mesh), rank.weights, {}}, rank.x_BTD,
                                rank.trained, saved);
        // One more gathering a norm; between the serial block's halves one scattering too.
        EXPECT_EQ(sent(), layers * (ring + norm) + (layers - 1) * ring) << "recomputation";
        rank.engine->backward(std::move(saved), y, &rank.grads);
        EXPECT_EQ(sent(), layers * (2 * ring + norm));
      });
}

// Each engine on the same ranks, with the same parts of a block.
void expect_rings_equal_the_reference(const ViTConfig& config, const AttentionMask& mask) {
  constexpr int64_t kRanks = 3;
  run_as_threads(kRanks, [&](const std::shared_ptr<Transport>& transport) {
    const at::NoGradGuard no_grad;
    const Mesh mesh = make_mesh(transport, {1, kRanks}, 30);
    RankBlock rank(config, mesh, "fused");
    const BlockSpec spec = block_spec(config, mesh);
    const Sequence sequence{.mask = mask};
    const at::Tensor dy = at::randn_like(rank.x_BTD);
    const auto run = [&](const Engine& engine) {
      std::unique_ptr<SavedActivations> saved;
      UnitGrads grads;
      for (const auto& [name, tensor] : rank.grads.tensors)
        grads.tensors[name] = at::zeros_like(tensor);
      NamedTensors all;
      all["output"] =
          engine.forward_saving({spec, rank.weights, sequence}, rank.x_BTD, rank.trained, saved);
      all["input"] = engine.backward(std::move(saved), dy, &grads);
      all.merge(grads.tensors);
      return all;
    };
    const NamedTensors got = run(*rank.engine), want = run(*make_engine("reference", mesh));
    for (const auto& [name, tensor] : want)
      EXPECT_LT((got.at(name) - tensor).abs().max().item<double>(),
                2e-5 * (1 + tensor.abs().max().item<double>()))
          << name;
  });
}

TEST(BlockOnAModelAxis, GatedAndMaskedItIsTheSameOnRingsAsInTheReference) {
  ViTConfig config = config_of("serial");
  config.mlp.swiglu = true;
  expect_rings_equal_the_reference(config,
                                   {.is_causal = true, .lengths_B = at::tensor({5, 3}, at::kLong)});
}

TEST(BlockOnAModelAxis, NormsInsideOfBranchesAreOverTheFeaturesOfAllRanks) {
  for (const char* block : {"parallel", "serial"}) {
    ViTConfig config = config_of(block);
    config.mlp.swiglu = true;
    config.attention.qk_norm_width = true;
    config.norm.attn_norm = config.norm.mlp_norm = true;
    expect_rings_equal_the_reference(config, {});
  }
}

TEST(BlockOnAModelAxis, NormsMayFollowTheBranches) {
  ViTConfig config = config_of("serial");
  config.norm.post_norm = true;
  expect_rings_equal_the_reference(config, {});
}

}  // namespace
}  // namespace vit22b
