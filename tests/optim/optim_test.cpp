#include <gtest/gtest.h>

#include "checkpoint/container/safetensors_file.h"
#include "core/error.h"
#include "optim/clip.h"
#include "optim/optimizer.h"
#include "optim/rules.h"
#include "optim/schedule.h"
#include "support/files.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

using test::relative_difference;

const SafetensorsFile& oracle() {
  static const SafetensorsFile file(test::source_path("tests/oracle/optim.safetensors"));
  return file;
}

/// Runs an optimizer over an oracle case, showing weight and slots after each step.
void replay(const std::string& optimizer, const std::string& shape,
            const std::function<void(int64_t, const at::Tensor&, NamedTensors&)>& check) {
  OptimConfig config;
  config.name = optimizer;
  const auto rule = make_optimizer(config);
  at::Tensor weight = oracle().load(shape + "/start");
  ParameterRow row;
  row.shape = weight.sizes().vec();
  NamedTensors slots;
  for (const SlotSpec& slot : rule->slots(row))
    slots[slot.name] = at::zeros(slot.shape, slot.dtype);
  for (int64_t t = 0; t < 5; ++t) {
    rule->update_(weight, oracle().load(concat(shape, "/gradient.", t)), slots,
                  {.step = t,
                   .learning_rate = 1e-2 * static_cast<double>(t + 1),
                   .weight_decay = optimizer == "sgd" ? 0 : 0.03});
    check(t, weight, slots);
  }
}

class OptimizerOracle : public testing::TestWithParam<std::string> {};

TEST_P(OptimizerOracle, AdafactorMatchesTimmWithinOneBf16Ulp) {
  replay("adafactor", GetParam(), [&](int64_t t, const at::Tensor& weight, NamedTensors& slots) {
    const at::Tensor want = oracle().load(concat("adafactor/", GetParam(), "/momentum.", t));
    ASSERT_EQ(slots.at("momentum").scalar_type(), at::kBFloat16);
    const at::Tensor before =
        t == 0 ? at::zeros_like(want)
               : oracle().load(concat("adafactor/", GetParam(), "/momentum.", t - 1));
    const at::Tensor error = (slots.at("momentum").to(at::kDouble) - want.to(at::kDouble)).abs();
    // One ulp of a bf16 number is at most 2^-7 of it. The sum 0.9 m + 0.1 u may cancel, so the ulp
    // is that of its terms.
    const at::Tensor kept = 0.9 * before.to(at::kDouble), added = want.to(at::kDouble) - kept;
    EXPECT_TRUE((error <= (kept.abs() + added.abs()) * 0x1p-7).all().item<bool>()) << t;
    EXPECT_LT(
        relative_difference(weight, oracle().load(concat("adafactor/", GetParam(), "/weight.", t))),
        1e-3)
        << t;
    slots.at("momentum")
        .copy_(
            want);  // each step is held to one ulp from equal states: timm rounds u to bf16 first
  });
}

TEST_P(OptimizerOracle, AdamWMatchesTorch) {
  replay("adamw", GetParam(), [&](int64_t t, const at::Tensor& weight, NamedTensors&) {
    EXPECT_LT(
        relative_difference(weight, oracle().load(concat("adamw/", GetParam(), "/weight.", t))),
        2e-6)
        << t;
  });
}

TEST_P(OptimizerOracle, SgdMatchesTorch) {
  replay("sgd", GetParam(), [&](int64_t t, const at::Tensor& weight, NamedTensors&) {
    EXPECT_LT(relative_difference(weight, oracle().load(concat("sgd/", GetParam(), "/weight.", t))),
              2e-6)
        << t;
  });
}

INSTANTIATE_TEST_SUITE_P(Shapes, OptimizerOracle,
                         testing::Values("matrix", "small", "vector", "kernel", "table"));

TEST(Adafactor, FirstStepByHand) {
  // beta2 is 0 at the first step, so u = g / |g| for a vector and m = 0.1 u; w - lr (m + wd w).
  const auto rule = make_optimizer({});
  at::Tensor weight = at::tensor({2.0F, -1.0F});
  NamedTensors slots = {{"second_moment", at::zeros({2})},
                        {"momentum", at::zeros({2}, at::kBFloat16)}};
  rule->update_(weight, at::tensor({5.0F, -0.25F}), slots,
                {.step = 0, .learning_rate = 0.5, .weight_decay = 0.03});
  const double m = 0.10009765625;  // 0.1 in bf16
  EXPECT_NEAR(weight[0].item<double>(), 2 - 0.5 * (m + 0.06), 1e-6);
  EXPECT_NEAR(weight[1].item<double>(), -1 - 0.5 * (-m - 0.03), 1e-6);
}

TEST(Adafactor, FactorsOnlyDimsOf32AndMore) {
  const auto rule = make_optimizer({});
  ParameterRow row;
  row.shape = {31, 64};
  EXPECT_EQ(rule->slots(row)[0].name, "second_moment");
  row.shape = {32, 64};
  EXPECT_EQ(rule->slots(row)[0].shape, (std::vector<int64_t>{32, 1}));
  EXPECT_EQ(rule->slots(row)[1].shape, (std::vector<int64_t>{1, 64}));
}

TEST(Rules, OnlyKernelsDecayAndTheClassifierMost) {
  const auto table = parameter_table(preset("test8"));
  const auto rules = make_rules(table, {}, {});
  for (size_t i = 0; i < table.size(); ++i) {
    double want = 0;
    if (table[i].name == "head.weight")
      want = 3.0;
    else if (table[i].name.ends_with("weight") && table[i].shape.size() >= 2)
      want = 0.03;
    EXPECT_EQ(rules[i].weight_decay, want) << table[i].name;
  }
}

TEST(Rules, FrozenNamesDoNotTrainAndMustExist) {
  const auto table = parameter_table(preset("test8"));
  const auto rules = make_rules(table, {}, {{"blocks.*"}});
  for (size_t i = 0; i < table.size(); ++i)
    EXPECT_EQ(rules[i].is_trained, !table[i].name.starts_with("blocks.")) << table[i].name;
  EXPECT_NE(test::error_of<UsageError>([&] {
              make_rules(table, {}, {{"block.*"}});
            }).find("'block.*' matches no parameter"),
            std::string::npos);
}

TEST(Schedule, RsqrtMatchesThePaperRunsValues) {
  const Schedule s{{"rsqrt", 10'000}, 177'000, 10'000, 30'000};
  EXPECT_EQ(s.at(0), 0);
  EXPECT_DOUBLE_EQ(s.at(5'000), 0.5);
  EXPECT_DOUBLE_EQ(s.at(10'000), 1);
  EXPECT_NEAR(s.at(20'000), 0.7071, 1e-4);
  EXPECT_NEAR(s.at(147'000), 0.261, 1e-3);
  EXPECT_NEAR(s.at(162'000), 0.5 / std::sqrt(1 + 15.2), 1e-9);
  EXPECT_EQ(s.at(177'000), 0);
}

TEST(Schedule, CosineAndLinearEndAtZero) {
  for (const char* name : {"cosine", "linear"}) {
    const Schedule s{{name, 1}, 110, 10, 0};
    EXPECT_DOUBLE_EQ(s.at(10), 1) << name;
    EXPECT_NEAR(s.at(60), 0.5, 1e-12) << name;
    EXPECT_NEAR(s.at(110), 0, 1e-12) << name;
  }
  EXPECT_EQ((Schedule{{"constant", 1}, 100, 0, 0}.at(99)), 1);
}

TEST(GradientScale, IsTheSameAsScalingTheGradientFirst) {
  for (const char* name : {"adafactor", "adamw", "sgd"}) {
    OptimConfig config;
    config.name = name;
    const auto optimizer = make_optimizer(config);
    const ParameterRow row{.name = "w", .shape = {37, 65}};
    const at::Tensor gradient = at::randn(row.shape);
    std::vector<at::Tensor> results;
    for (const bool is_scaled_before : {true, false}) {
      NamedTensors slots;
      for (const SlotSpec& slot : optimizer->slots(row))
        slots[slot.name] = at::zeros(slot.shape, slot.dtype);
      at::Tensor weight = at::ones(row.shape);
      for (int64_t step = 0; step < 3; ++step)
        optimizer->update_(weight, is_scaled_before ? gradient * 0.25 : gradient, slots,
                           {.step = step,
                            .learning_rate = 0.1,
                            .weight_decay = 0.01,
                            .gradient_scale = at::full({1}, is_scaled_before ? 1.0F : 0.25F)});
      results.push_back(weight);
    }
    EXPECT_LT(test::relative_difference(results[1], results[0]), 1e-6) << name;
  }
}

/// Matrices, vectors and a matrix too small to factor, stored either way.
struct Weights {
  std::vector<int64_t> shape;
  at::ScalarType dtype;
};

TEST(GradientScale, ThatIsNotFiniteChangesNothing) {
  for (const char* name : {"adafactor", "adamw", "sgd"})
    for (const auto& [shape, dtype] :
         {Weights{{37, 65}, at::kFloat}, Weights{{37, 65}, at::kBFloat16}, Weights{{5}, at::kFloat},
          Weights{{3, 4}, at::kFloat}}) {
      OptimConfig config;
      config.name = name;
      const auto optimizer = make_optimizer(config);
      const ParameterRow row{.name = "w", .shape = shape};
      NamedTensors slots;
      for (const SlotSpec& slot : optimizer->slots(row))
        slots[slot.name] = at::rand(slot.shape).to(slot.dtype);
      NamedTensors before;
      for (const auto& [slot, tensor] : slots) before[slot] = tensor.clone();
      at::Tensor weight = at::randn(shape).to(dtype);
      const at::Tensor old = weight.clone();
      for (const float bad : {std::nanf(""), INFINITY})
        optimizer->update_(weight, at::randn(shape), slots,
                           {.learning_rate = 0.1, .gradient_scale = at::full({1}, bad)});
      EXPECT_TRUE(at::equal(weight, old)) << name;
      for (const auto& [slot, tensor] : slots)
        EXPECT_TRUE(at::equal(tensor, before.at(slot))) << name << " " << slot;
    }
}

TEST(Bf16Weights, FollowFloat32WhereRoundingToNearestWouldStall) {
  // Each step moves a weight by 1/8 of bfloat16's distance at 1.
  constexpr double kRate = 1.0 / 128 / 8;
  constexpr int64_t kSteps = 64;
  for (const char* name : {"adafactor", "adamw", "sgd"}) {
    OptimConfig config;
    config.name = name;
    config.momentum = std::string(name) == "sgd" ? 0 : 0.9;
    const auto optimizer = make_optimizer(config);
    const ParameterRow row{.name = "w", .shape = {64, 64}};
    std::vector<at::Tensor> results;
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      NamedTensors slots;
      for (const SlotSpec& slot : optimizer->slots(row))
        slots[slot.name] = at::zeros(slot.shape, slot.dtype);
      at::Tensor weight = at::ones(row.shape, dtype);
      for (int64_t step = 0; step < kSteps; ++step)
        optimizer->update_(weight, at::ones(row.shape), slots,
                           {.step = step, .learning_rate = kRate, .seed = 5, .name = "w"});
      EXPECT_EQ(weight.scalar_type(), dtype);
      results.push_back(weight.to(at::kDouble).mean());
    }
    const double want = results[0].item<double>(), got = results[1].item<double>();
    EXPECT_LT(want, 0.99) << name;
    // The roundings of 64 steps add up to at most 4 units of 1/128 of standard deviation in one
    // weight, and to 1/16 of a unit in the mean of 4,096 of them; 4 sigma.
    EXPECT_NEAR(got, want, 4.0 / 16 / 128) << name;
  }
}

TEST(Clip, NormIsGlobalAndScaleBringsItDown) {
  const double norm =
      std::sqrt(squared_norm({at::tensor({3.0F}), at::tensor({0.0F, 4.0F})}).item<double>());
  EXPECT_DOUBLE_EQ(norm, 5);
  const auto clip_scale = [](double of, double most) {
    return vit22b::clip_scale(at::full({1}, of, at::kDouble), most).item<double>();
  };
  EXPECT_DOUBLE_EQ(clip_scale(5, 1), 0.2);
  EXPECT_EQ(clip_scale(0.5, 1), 1);
  EXPECT_EQ(clip_scale(5, 0), 1);
  EXPECT_TRUE(std::isnan(clip_scale(std::nan(""), 1)));
  EXPECT_TRUE(std::isinf(clip_scale(INFINITY, 1)));  // not 0: that would pass for a step
}

// BEiT's: the head at the full rate, each block below at a factor more, the embedding lowest.
TEST(Rules, RatesFallFromTheHeadDown) {
  ViTConfig config = preset("test8");
  config.depth = 3;
  OptimConfig optim;
  optim.layer_decay = 0.5;
  const auto table = parameter_table(config);
  const auto rules = make_rules(table, optim, {});
  const std::map<std::string, double> want = {
      {"pos_embed", 0.0625}, {"blocks.0.in_proj.weight", 0.125}, {"blocks.2.in_proj.weight", 0.5},
      {"norm.weight", 1},    {"attn_pool.q.weight", 1},          {"head.weight", 1}};
  size_t found = 0;
  for (size_t i = 0; i < table.size(); ++i)
    if (const auto it = want.find(table[i].name); it != want.end()) {
      EXPECT_DOUBLE_EQ(rules[i].learning_rate_factor, it->second) << it->first;
      ++found;
    }
  EXPECT_EQ(found, want.size());
}

TEST(OptimConfig, EveryFieldHasARangeThatIsNamed) {
  const double inf = std::numeric_limits<double>::infinity(),
               nan = std::numeric_limits<double>::quiet_NaN();
  struct Case {
    const char* text;  ///< behind the value
    double OptimConfig::*field;
    std::vector<double> refused;
    double taken;
  };
  const std::vector<Case> cases = {
      {"optim.lr is", &OptimConfig::lr, {-1}, 0},
      {"optim.weight_decay is", &OptimConfig::weight_decay, {-5}, 0},
      {"optim.head_weight_decay is", &OptimConfig::head_weight_decay, {-5}, 0},
      {"optim.clip_norm is", &OptimConfig::clip_norm, {-1}, 0},
      {"optim.momentum is", &OptimConfig::momentum, {1.5, 1, -0.1}, 0},
      {"optim.beta2_cap is", &OptimConfig::beta2_cap, {1.1, -1}, 1},
      {"optim.beta2 is", &OptimConfig::beta2, {1, -1}, 0},
      {"optim.eps is", &OptimConfig::eps, {0, -1}, 1e-12},
      {"optim.layer_decay is", &OptimConfig::layer_decay, {0, 1.1}, 1},
      {"optim.polyak is", &OptimConfig::polyak, {1, -1}, 0}};
  for (const Case& c : cases) {
    OptimConfig config;
    config.*c.field = c.taken;
    make_optimizer(config);
    std::vector<double> refused = c.refused;
    refused.insert(refused.end(), {inf, nan});
    for (const double value : refused) {
      config.*c.field = value;
      EXPECT_TRUE(test::error_of<UsageError>([&] { make_optimizer(config); }).starts_with(c.text))
          << c.text << value;
    }
  }
  EXPECT_EQ(test::error_of<UsageError>([] { make_optimizer({.beta2 = 1}); }),
            "optim.beta2 is 1, want 0 to below 1");
  EXPECT_EQ(test::error_of<UsageError>([] { make_optimizer({.eps = 0}); }),
            "optim.eps is 0, want more than 0");
  EXPECT_EQ(test::error_of<UsageError>([] { make_optimizer({.layer_decay = 2}); }),
            "optim.layer_decay is 2, want more than 0, at most 1");
  EXPECT_EQ(test::error_of<UsageError>([] { make_optimizer({.min_dim_size_to_factor = 0}); }),
            "optim.min_dim_size_to_factor is 0, want 1 or more");
  EXPECT_EQ(test::error_of<UsageError>([] { ScheduleConfig{.timescale = 0}.check(); }),
            "schedule.timescale is 0, want more than 0");
}

}  // namespace
}  // namespace vit22b
