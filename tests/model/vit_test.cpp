#include "model/vit.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "store/accumulate.h"
#include "support/files.h"
#include "support/tensors.h"
#include "support/tiny_model.h"

namespace vit22b {
namespace {

using test::relative_difference;
using test::tiny_config;
using test::TinyModel;

/// A sink that only keeps gradients, for the names that a predicate chooses.
class KeepGradients : public GradientSink {
 public:
  KeepGradients(const TinyModel& model,
                const std::function<bool(const ParameterRow&)>& is_trained) {
    for (const ParameterRow& row : model.table) {
      if (!is_trained(row)) continue;
      units_[row.unit].tensors[row.local_name] = at::full(row.shape, NAN);
      names_[row.unit].insert(row.local_name);
    }
  }
  const std::set<std::string>& trained(const Unit& unit) const override {
    static const std::set<std::string> none;
    const auto it = names_.find(unit);
    return it == names_.end() ? none : it->second;
  }
  UnitGrads& begin(const Unit& unit) override {
    order.push_back(unit);
    return units_.at(unit);
  }
  void commit(const Unit& unit) override { units_.at(unit).is_overwrite = false; }
  StepReport finish(const StepContext&) override { return {}; }
  const at::Tensor& gradient(const ParameterRow& row) {
    return units_.at(row.unit).tensors.at(row.local_name);
  }

  std::vector<Unit> order;

 private:
  std::map<Unit, UnitGrads> units_;
  std::map<Unit, std::set<std::string>> names_;
};

double loss_of(TinyModel& model, const at::Tensor& images, const at::Tensor& weights_BC) {
  return (vit_forward(model.context(), *model.store, images, {}).logits_BC * weights_BC)
      .sum()
      .to(at::kDouble)
      .item<double>();
}

/// A block's name, or that of what tells how sure a model is.
ViTConfig config_of(const std::string& name) {
  ViTConfig config = tiny_config(name == "ensemble" ? "serial"
                                 : name == "noisy"  ? "parallel"
                                                    : name);
  if (name == "ensemble") config.plex.batch_ensemble_blocks = 2;
  if (name == "noisy") {
    config.plex.head = "heteroscedastic";
    config.plex.head_factors = 3;
    config.plex.head_samples = 20;
  }
  return config;
}

class VitBackward : public testing::TestWithParam<std::tuple<std::string, ActivationPolicy>> {};

TEST_P(VitBackward, MatchesCentralDifferencesForEveryParameterAndTheImage) {
  at::manual_seed(0);
  const at::NoGradGuard no_grad;
  TinyModel model(config_of(std::get<0>(GetParam())), std::get<1>(GetParam()));
  const at::Tensor images = model.images(2), weights_BC = at::randn({2, 5});
  KeepGradients sink(model, [](const ParameterRow&) { return true; });
  VitTape tape;
  vit_forward(model.context(), *model.store, images,
              {.tape = &tape, .sink = &sink, .is_image_trained = true});
  const at::Tensor image_gradient =
      vit_backward(model.context(), *model.store, tape, {.logits_BC = weights_BC}, &sink);

  const auto derivative = [&](at::Tensor tensor, const at::Tensor& direction) {
    constexpr double kStep =
        4e-3;  // float32 losses near 10: the best step balances rounding and curvature
    tensor.add_(direction, kStep);
    const double above = loss_of(model, images, weights_BC);
    tensor.add_(direction, -2 * kStep);
    const double below = loss_of(model, images, weights_BC);
    tensor.add_(direction, kStep);
    return (above - below) / (2 * kStep);
  };
  for (const ParameterRow& row : model.table) {
    const at::Tensor direction = sink.gradient(row) / sink.gradient(row).norm().clamp_min(1e-12);
    const double want = (sink.gradient(row) * direction).sum().item<double>();
    // The key half of kv biases has a mathematically zero gradient; nothing here is only that half.
    EXPECT_NEAR(derivative(model.store->weight(row), direction), want, 2e-2 * std::abs(want) + 2e-3)
        << row.name;
  }
  const at::Tensor direction = image_gradient / image_gradient.norm();
  EXPECT_NEAR(derivative(images, direction), image_gradient.norm().item<double>(),
              2e-2 * image_gradient.norm().item<double>());
}

INSTANTIATE_TEST_SUITE_P(
    Blocks, VitBackward,
    testing::Combine(testing::Values("parallel", "serial", "noisy", "ensemble"),
                     testing::Values(ActivationPolicy::kKeep, ActivationPolicy::kRecompute)));

TEST(Vit, RecomputationGivesTheSameGradientsBitForBit) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> gradients[2];
  const at::Tensor images = TinyModel(tiny_config()).images(3);
  for (const auto policy : {ActivationPolicy::kKeep, ActivationPolicy::kRecompute}) {
    TinyModel model(tiny_config(), policy);
    KeepGradients sink(model, [](const ParameterRow&) { return true; });
    VitTape tape;
    vit_forward(model.context(), *model.store, images, {.tape = &tape, .sink = &sink});
    vit_backward(model.context(), *model.store, tape, {.logits_BC = at::ones({3, 5})}, &sink);
    for (const ParameterRow& row : model.table)
      gradients[static_cast<int>(policy)].push_back(sink.gradient(row));
  }
  for (size_t i = 0; i < gradients[0].size(); ++i)
    EXPECT_TRUE(test::is_same(gradients[0][i], gradients[1][i])) << i;
}

TEST(Vit, BackwardStopsAtTheLowestTrainedUnit) {
  const at::NoGradGuard no_grad;
  TinyModel model(tiny_config());
  KeepGradients sink(model, [](const ParameterRow& row) { return row.unit >= block_unit(2); });
  VitTape tape;
  vit_forward(model.context(), *model.store, model.images(2), {.tape = &tape, .sink = &sink});
  EXPECT_EQ(tape.encoder.first_block, 2);
  EXPECT_EQ(tape.encoder.blocks[1].saved, nullptr);
  vit_backward(model.context(), *model.store, tape, {.logits_BC = at::ones({2, 5})}, &sink);
  EXPECT_EQ(sink.order,
            (std::vector<Unit>{
                {UnitKind::kHead}, {UnitKind::kPool}, {UnitKind::kFinalNorm}, block_unit(2)}));
}

TEST(Vit, TapsGiveBlockOutputsAndTakeGradients) {
  const at::NoGradGuard no_grad;
  TinyModel model(tiny_config());
  const at::Tensor images = model.images(1);
  VitTape tape;
  const VitOutputs out = vit_forward(model.context(), *model.store, images,
                                     {.taps = {0, 2}, .tape = &tape, .is_image_trained = true});
  ASSERT_EQ(out.blocks.size(), 2u);
  EXPECT_EQ(out.blocks.at(0).sizes(), (at::IntArrayRef{1, 8, 12}));
  const at::Tensor direction = at::randn({1, 8, 12});
  const at::Tensor gradient =
      vit_backward(model.context(), *model.store, tape, {.blocks = {{0, direction}}}, nullptr);
  // Against the same derivative by differences along the gradient itself.
  const auto value = [&](double step) {
    const at::Tensor moved = images + gradient / gradient.norm() * step;
    return (vit_forward(model.context(), *model.store, moved, {.taps = {0}}).blocks.at(0) *
            direction)
        .sum()
        .item<double>();
  };
  EXPECT_NEAR((value(4e-3) - value(-4e-3)) / 8e-3, gradient.norm().item<double>(),
              1e-2 * gradient.norm().item<double>());
}

TEST(Vit, TakesAnotherImageSizeByMovingItsPositionTable) {
  const at::NoGradGuard no_grad;
  TinyModel model(tiny_config("serial"));
  const VitOutputs out = vit_forward(model.context(), *model.store, at::randn({1, 3, 12, 20}), {});
  EXPECT_EQ(out.tokens_BTD.size(1), 1 + 3 * 5);
}

TEST(Vit, WrongChannelsAreRefusedByShape) {
  const at::NoGradGuard no_grad;
  TinyModel model(tiny_config());
  EXPECT_EQ(test::error_of<UsageError>([&] {
              vit_forward(model.context(), *model.store, at::randn({1, 1, 8, 16}), {});
            }),
            "Embedding: images has shape [1, 1, 8, 16], want [B, C=3, H, W]");
}

TEST(Vit, Bf16StaysNearFp32) {
  const at::NoGradGuard no_grad;
  TinyModel model(tiny_config());
  const at::Tensor images = model.images(4);
  const ModelContext half{model.config, *model.engine, model.mesh, at::kBFloat16};
  const at::Tensor want = vit_forward(model.context(), *model.store, images, {}).logits_BC;
  const at::Tensor got = vit_forward(half, *model.store, images, {}).logits_BC;
  EXPECT_EQ(got.scalar_type(), at::kFloat);
  EXPECT_LT(relative_difference(got, want), 0.05);  // 8 bits through 3 blocks of random weights
}

TEST(Vit, AFloatResidualStreamLosesLessOverManyBlocks) {
  const at::NoGradGuard no_grad;
  ViTConfig config = tiny_config();
  config.depth = 24;
  config.init_values = 0.02;  // branches are small beside the stream, as trained models' are
  TinyModel model(config);
  for (const ParameterRow& row : model.table)
    if (row.local_name == "ls.gamma") model.store->weight(row).fill_(0.02);
  const at::Tensor images = model.images(4);
  const at::Tensor want = vit_forward(model.context(), *model.store, images, {}).tokens_BTD;
  for (const char* name : {"reference", "fused"}) {
    const auto engine = make_engine(name, model.mesh, at::kBFloat16);
    const auto error = [&](at::ScalarType stream) {
      ModelContext context{model.config, *engine, model.mesh, at::kBFloat16};
      context.residual_type = stream;
      const VitOutputs out = vit_forward(context, *model.store, images, {.taps = {5}});
      EXPECT_EQ(out.blocks.at(5).scalar_type(), stream);
      EXPECT_EQ(out.tokens_BTD.scalar_type(), at::kBFloat16);
      return ((out.tokens_BTD - want).norm() / want.norm()).item<double>();
    };
    EXPECT_LT(error(at::kFloat), 0.5 * error(at::kBFloat16)) << name;
  }
}

TEST(Vit, AttentionIsShownForEveryBlock) {
  const at::NoGradGuard no_grad;
  TinyModel model(tiny_config());
  int64_t blocks = 0;
  observe_attention(model.context(), *model.store, model.images(2),
                    [&](int64_t index, const QueriesKeys& qk) {
                      EXPECT_EQ(index, blocks++);
                      EXPECT_EQ(qk.q_BHTK.sizes(), (at::IntArrayRef{2, 3, 8, 4}));
                      // QK norm: each row's root mean square is that of its scale.
                      EXPECT_LT(qk.q_BHTK.abs().max().item<double>(), 2 * 1.9);
                    });
  EXPECT_EQ(blocks, 3);
}

/// The words of a field that is a choice.
std::vector<std::string> words_of(const std::string& key) {
  ViTConfig config;
  for (const FieldText& field : list_fields([&](FieldVisitor& v) { config.fields(v); }))
    if (field.key == key) return split(field.type, '|');
  return {};
}

void expect_engines_agree(const ViTConfig& config, const std::string& what) {
  TinyModel reference(config), fused(config);
  fused.engine = make_engine("fused");
  const at::Tensor images = reference.images(2);
  EXPECT_LT(
      relative_difference(vit_forward(fused.context(), *fused.store, images, {}).logits_BC,
                          vit_forward(reference.context(), *reference.store, images, {}).logits_BC),
      2e-5)
      << what;
}

TEST(Vit, EnginesAgreeForEveryWordOfEveryChoice) {
  const at::NoGradGuard no_grad;
  int64_t count = 0;
  for (const char* block : {"parallel", "serial"})
    for (const std::string& act : words_of("act_layer"))
      for (const std::string& norm : words_of("norm_layer"))
        for (const std::string& pool : words_of("global_pool")) {
          if (pool == "last" || pool == "none") continue;  // a text tower's, and no logits
          ViTConfig config = tiny_config(block);
          config.mlp.act_layer = act;
          config.norm.norm_layer = norm;
          config.pool.global_pool = pool;
          config.tokens.class_token = true;
          config.tokens.reg_tokens = 1;
          for (const bool is_with_prefix : {false, true}) {
            config.pool.pool_include_prefix =
                is_with_prefix && pool != "token" && pool != "cls_avg";
            config.norm.final_norm = !is_with_prefix;
            expect_engines_agree(config, concat(block, " ", act, " ", norm, " ", pool));
            ++count;
          }
        }
  EXPECT_EQ(count, 128);
}

TEST(Vit, AnUnknownWordReachesNoEngine) {
  for (const char* engine : {"reference", "fused"}) {
    TinyModel model(tiny_config());
    model.engine = make_engine(engine);
    const at::Tensor images = model.images(1);
    model.config.mlp.act_layer = "relu";
    EXPECT_NE(test::error_of<UsageError>([&] {
                vit_forward(model.context(), *model.store, images, {});
              }).find("model.act_layer is 'relu', want one of gelu_tanh, gelu"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace vit22b
