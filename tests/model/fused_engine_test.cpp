#include <gtest/gtest.h>

#include "model/engine/engines.h"
#include "support/device.h"
#include "support/tensors.h"
#include "support/tiny_model.h"

namespace vit22b {
namespace {

using test::relative_difference;

/// One block in both engines: its output, its input's gradient and every weight's gradient.
struct BlockResult {
  at::Tensor output, input_gradient;
  NamedTensors gradients;
};

/// A block, its weights and what its tokens are.
struct TestBlock {
  BlockSpec spec;
  NamedTensors weights;
  Sequence sequence;

  BlockCall call() const { return {spec, weights, sequence}; }
};

BlockResult run_block(const std::unique_ptr<Engine>& engine, const TestBlock& block,
                      const at::Tensor& x, const at::Tensor& dy) {
  const at::NoGradGuard no_grad;
  std::set<std::string> trained;
  UnitGrads grads;
  for (const auto& [name, tensor] : block.weights) {
    trained.insert(name);
    grads.tensors[name] = at::full_like(tensor, 7);  // overwritten, whatever is there
  }
  std::unique_ptr<SavedActivations> saved;
  BlockResult result;
  result.output = engine->forward_saving(block.call(), x, trained, saved);
  EXPECT_TRUE(at::equal(result.output, engine->forward(block.call(), x)));
  result.input_gradient = engine->backward(std::move(saved), dy, &grads);
  result.gradients = grads.tensors;
  return result;
}

NamedTensors block_weights(const ViTConfig& config) {
  NamedTensors weights;
  for (const ParameterRow& row : parameter_table(config))
    if (row.unit == block_unit(0))
      weights[row.local_name] = randomised_tensor(row, 3).to(test::device());
  return weights;
}

struct Sizes {
  const char* name;
  const char* block;
  int64_t width, heads;
  double mlp_ratio;
  int64_t images, tokens;
  bool qk_norm = true, qkv_bias = false;
  const char* norm = "rmsnorm";
  const char* act = "gelu_tanh";
  double init_values = 0;
  /// Words of "causal", "lengths", "pairs" or "halves" (rotary), "gate" (in fc1's weight) or
  /// "apart" (a gate of its own), "heads_norm", "wide_norm", "attn_norm", "mlp_norm", "post_norm",
  /// "no_bias", "adapters".
  std::string extra;

  bool has(const char* word) const { return extra.find(word) != std::string::npos; }
};

ViTConfig config_of(const Sizes& s) {
  ViTConfig c = preset("test8", s.block);
  c.embed_dim = s.width;
  c.num_heads = s.heads;
  c.mlp.mlp_ratio = s.mlp_ratio;
  c.depth = 1;
  c.attention.qk_norm = s.qk_norm;
  c.attention.qkv_bias = s.qkv_bias;
  c.norm.norm_layer = s.norm;
  c.mlp.act_layer = s.act;
  c.init_values = s.init_values;
  c.mlp.swiglu = s.has("gate");
  c.attention.qk_norm_width = s.has("wide_norm");
  c.attention.proj_bias = !s.has("no_bias");
  c.norm.attn_norm = s.has("attn_norm");
  c.norm.mlp_norm = s.has("mlp_norm");
  c.norm.post_norm = s.has("post_norm");
  if (s.has("adapters")) c.adapters = {.rank = 3, .alpha = 5};
  return c;
}

/// One token less in each sample, one at least.
at::Tensor lengths_of(const Sizes& s) {
  return at::arange(s.tokens, s.tokens - s.images, -1, at::kLong).clamp_min(1);
}

RotaryTables rotary_of(const Sizes& s) {
  const at::Tensor angles = at::randn({s.tokens, s.width / s.heads / 2}).to(test::device());
  const bool is_half = s.has("halves");
  const auto table = [&](const at::Tensor& values) {
    return is_half ? at::cat({values, values}, 1) : values.repeat_interleave(2, 1);
  };
  return {table(angles.cos()), table(angles.sin()), is_half};
}

/// A serial block's gate in a weight of its own.
void add_gate(BlockSpec& b, NamedTensors& weights) {
  b.gate = b.fc1;
  b.gate.weight = "mlp.gate.weight";
  b.gate.bias = "mlp.gate.bias";
  weights[b.gate.weight] = at::randn_like(weights.at(b.fc1.weight)) * 0.3;
  weights[b.gate.bias] = at::randn_like(weights.at(b.fc1.bias)) * 0.3;
}

TestBlock block_of(const Sizes& s) {
  const ViTConfig config = config_of(s);
  TestBlock block{block_spec(config), block_weights(config), {}};
  if (s.has("apart")) add_gate(block.spec, block.weights);
  block.sequence.mask.is_causal = s.has("causal");
  if (s.has("lengths")) block.sequence.mask.lengths_B = lengths_of(s);
  if (s.has("pairs") || s.has("halves")) block.sequence.rotary = rotary_of(s);
  return block;
}

double most(const at::Tensor& tensor) {
  return tensor.abs().max().item<double>();
}

void expect_equals_the_reference(const std::unique_ptr<Engine>& engine, const Sizes& s,
                                 double bound = 2e-5) {
  const TestBlock block = block_of(s);
  const at::Tensor x = at::randn({s.images, s.tokens, s.width}).to(test::device()),
                   dy = at::randn_like(x);
  const BlockResult want = run_block(make_engine("reference"), block, x, dy),
                    got = run_block(engine, block, x, dy);
  EXPECT_LT(relative_difference(got.output, want.output), bound);
  EXPECT_LT(relative_difference(got.input_gradient, want.input_gradient), bound);
  double largest = 0;
  for (const auto& [name, gradient] : want.gradients) largest = std::max(largest, most(gradient));
  for (const auto& [name, gradient] : want.gradients) {
    // Softmax does not see a shift of all keys, nor anything at one token: those gradients are
    // zero, and each engine gives its own rounding errors, small beside the block's other
    // gradients.
    if (most(gradient) < 1e-6 * largest)
      EXPECT_LT(most(got.gradients.at(name)), 1e-6 * largest) << name;
    else
      EXPECT_LT(relative_difference(got.gradients.at(name), gradient), bound) << name;
  }
}

/// A block's results under the names "output", "input" and its weights'.
NamedTensors by_name(const BlockResult& result) {
  NamedTensors all = result.gradients;
  all["output"] = result.output;
  all["input"] = result.input_gradient;
  return all;
}

// stream  the dtype of the residual stream
void expect_roundings_only(const std::unique_ptr<Engine>& engine, const Sizes& s,
                           at::ScalarType stream = at::kBFloat16) {
  const TestBlock block = block_of(s);
  const auto reference = make_engine("reference");
  // What ATen's operators in bf16, each rounded, are off, over several inputs: one draw's largest
  // error says little of the next one's in a tensor of few values. Ours may be twice as far off:
  // heads with small norms multiply roundings in both. And no less than a few roundings of 2^-9 on
  // the way: of the norm, q, k, v, softmax weights, attention, activation and output forward, of
  // the same and their gradients backward. Sums stay in float32.
  constexpr double kRounding = 1.0 / 512;
  constexpr int kDraws = 4;
  std::map<std::string, double> atens, ours, sizes;
  for (int draw = 0; draw < kDraws; ++draw) {
    const at::Tensor x =
        at::randn({s.images, s.tokens, s.width}).to(test::device()).to(at::kBFloat16);
    const at::Tensor dy = at::randn_like(x);
    const NamedTensors want =
        by_name(run_block(reference, block, x.to(at::kFloat), dy.to(at::kFloat)));
    const NamedTensors rounded = by_name(run_block(reference, block, x, dy));
    for (const auto& [name, tensor] : want) {
      atens[name] = std::max(atens[name], most(rounded.at(name) - tensor));
      sizes[name] = std::max(sizes[name], most(tensor));
    }
    if (draw > 0) continue;
    const NamedTensors got = by_name(run_block(engine, block, x.to(stream), dy));
    EXPECT_EQ(got.at("output").scalar_type(), stream);
    for (const auto& [name, tensor] : want) ours[name] = most(got.at(name) - tensor);
  }
  double largest = 0;
  for (const auto& [name, weight] : block.weights) largest = std::max(largest, sizes.at(name));
  for (const auto& [name, error] : ours) {
    double scale = sizes.at(name);
    // A gradient that is zero (the keys' bias) is a sum of roundings of the size of the others.
    if (block.weights.count(name) != 0)
      scale = scale < 1e-6 * largest ? largest : std::max(scale, largest * kRounding);
    const double roundings = name == "output" ? 4 : 8;
    EXPECT_LE(error, std::max(roundings * kRounding * scale, 2 * atens.at(name))) << name;
  }
}

class FusedBlock : public testing::TestWithParam<Sizes> {};

TEST_P(FusedBlock, EqualsTheReferenceForwardAndEveryGradient) {
  expect_equals_the_reference(make_engine("fused"), GetParam());
}

TEST_P(FusedBlock, HalfActivationsCostTheirRoundingsOnly) {
  expect_roundings_only(make_engine("fused"), GetParam());
}

TEST_P(FusedBlock, HalfActivationsOnAFloatStreamCostTheirRoundingsOnly) {
  for (const char* name : {"fused", "reference"})
    expect_roundings_only(make_engine(name, single_process(), at::kBFloat16), GetParam(),
                          at::kFloat);
  expect_roundings_only(make_device_engine(nullptr, at::kBFloat16), GetParam(), at::kFloat);
}

// With products of bfloat16 or without: what a bf16 checkpoint keeps is what is computed with.
TEST_P(FusedBlock, RoundsMatricesToBf16OnEveryCpu) {
  const TestBlock block = block_of(GetParam());
  TestBlock rounded = block;
  for (auto& [name, tensor] : rounded.weights)
    if (tensor.dim() == 2) tensor = tensor.to(at::kBFloat16).to(at::kFloat);
  const at::Tensor x =
      at::randn({GetParam().images, GetParam().tokens, GetParam().width}).to(at::kBFloat16);
  const auto engine = make_engine("fused");
  EXPECT_TRUE(at::equal(engine->forward(block.call(), x), engine->forward(rounded.call(), x)));
}

TEST_P(FusedBlock, OnAtensOperationsEqualsTheReference) {
  expect_equals_the_reference(make_device_engine(nullptr), GetParam());
  expect_roundings_only(make_device_engine(nullptr), GetParam());
}

TEST_P(FusedBlock, OnTheGpusKernelsEqualsTheReference) {
  const auto engine = make_device_engine(&test::gpu_ops());
  expect_equals_the_reference(engine, GetParam());
  expect_roundings_only(engine, GetParam());
  expect_roundings_only(make_device_engine(&test::gpu_ops(), at::kBFloat16), GetParam(),
                        at::kFloat);
}

class AdaptedBlock : public testing::TestWithParam<Sizes> {};

/// A block without its adapters, which are in its weights.
TestBlock merged(const TestBlock& block) {
  TestBlock whole = block;
  for (LinearSpec* layer :
       {&whole.spec.qkv, &whole.spec.gate, &whole.spec.fc1, &whole.spec.proj, &whole.spec.fc2}) {
    const AdapterSpec adapter = std::exchange(layer->adapter, {});
    if (whole.weights.count(adapter.a) == 0) continue;
    at::Tensor& weight = whole.weights.at(layer->weight);
    weight =
        weight + adapter.scale * block.weights.at(adapter.b).matmul(block.weights.at(adapter.a));
    whole.weights.erase(adapter.a);
    whole.weights.erase(adapter.b);
  }
  return whole;
}

// With the gradient G of the merged weight, A's is scale Bᵀ G and B's is scale G Aᵀ. B is small,
// as training makes it: what is off is the rounding of two orders of the same sums.
TEST_P(AdaptedBlock, IsTheBlockOfTheirSum) {
  TestBlock block = block_of(GetParam());
  for (const LinearSpec* layer : block.spec.layers()) block.weights.at(layer->adapter.b).mul_(0.05);
  const TestBlock whole = merged(block);
  const at::Tensor x = at::randn({GetParam().images, GetParam().tokens, GetParam().width}),
                   dy = at::randn_like(x);
  for (const char* name : {"fused", "reference"}) {
    const BlockResult want = run_block(make_engine(name), whole, x, dy),
                      got = run_block(make_engine(name), block, x, dy);
    EXPECT_LT(relative_difference(got.output, want.output), 1e-6) << name;
    EXPECT_LT(relative_difference(got.input_gradient, want.input_gradient), 1e-6) << name;
    // ATen's own two orders are 1.04e-6 apart.
    const auto expect_near = [&](const at::Tensor& a, const at::Tensor& b, const std::string& of) {
      EXPECT_LT(relative_difference(a, b), 2e-6) << name << " " << of;
    };
    for (const LinearSpec* layer : block.spec.layers()) {
      const auto& [a, b, rank, scale] = layer->adapter;
      const at::Tensor gradient = scale * want.gradients.at(layer->weight);
      expect_near(got.gradients.at(a), block.weights.at(b).t().matmul(gradient), a);
      expect_near(got.gradients.at(b), gradient.matmul(block.weights.at(a).t()), b);
    }
  }
}

const Sizes kAdapted[] = {
    {"adapters", "serial", 48, 3, 4, 2, 19, false, true, "layernorm", "gelu", 0, "adapters"},
    {"gated_adapters", "serial", 48, 3, 2.75, 2, 37, false, true, "layernorm", "silu", 0.3,
     "gate halves mlp_norm attn_norm adapters"},
    {"parallel_adapters", "parallel", 58, 2, 2.5, 3, 37, true, false, "rmsnorm", "gelu_tanh", 0,
     "gate adapters"}};

std::string name_of(const testing::TestParamInfo<Sizes>& parameter) {
  return parameter.param.name;
}

INSTANTIATE_TEST_SUITE_P(Adapted, AdaptedBlock, testing::ValuesIn(kAdapted), name_of);
INSTANTIATE_TEST_SUITE_P(Adapted, FusedBlock, testing::ValuesIn(kAdapted), name_of);

INSTANTIATE_TEST_SUITE_P(
    Sizes, FusedBlock,
    testing::Values(
        Sizes{"base", "parallel", 64, 2, 4, 2, 16}, Sizes{"one_token", "parallel", 32, 1, 4, 1, 1},
        Sizes{"prime_tails", "parallel", 58, 2, 2.5, 3, 37},
        Sizes{"small_heads", "parallel", 12, 3, 2.5, 2, 7},
        Sizes{"head_128", "parallel", 256, 2, 2, 1, 65},
        Sizes{"head_80_many_rows", "parallel", 160, 2, 3, 3, 131},
        Sizes{"long", "parallel", 32, 1, 1, 1, 1100}, Sizes{"wide", "parallel", 600, 8, 1, 1, 130},
        Sizes{"no_qk_norm", "parallel", 48, 3, 4, 2, 19, false},
        Sizes{"biases_and_scale", "parallel", 48, 3, 4, 2, 19, true, true, "layernorm", "gelu",
              0.3},
        Sizes{"serial", "serial", 48, 3, 4, 2, 19, false, true, "layernorm", "gelu"},
        Sizes{"serial_all", "serial", 80, 2, 3, 2, 101, true, true, "layernorm", "gelu_tanh", 0.5},
        Sizes{"serial_rms", "serial", 44, 2, 3, 1, 5, true, false, "rmsnorm", "gelu"},
        Sizes{"causal", "parallel", 48, 3, 4, 2, 131, true, false, "rmsnorm", "gelu", 0, "causal"},
        Sizes{"causal_lengths", "serial", 48, 3, 4, 3, 19, true, true, "layernorm", "gelu", 0,
              "causal lengths"},
        Sizes{"lengths", "serial", 32, 2, 4, 4, 70, true, false, "rmsnorm", "gelu", 0, "lengths"},
        Sizes{"rotary_pairs", "parallel", 48, 2, 2, 2, 19, true, false, "rmsnorm", "gelu", 0,
              "pairs"},
        Sizes{"rotary_halves", "serial", 72, 2, 2, 2, 101, false, true, "layernorm", "gelu", 0,
              "halves"},
        Sizes{"gated_apart", "serial", 48, 3, 2.5, 2, 37, true, true, "layernorm", "gelu", 0.3,
              "apart"},
        // DINOv3's and DINOv2-g's, AIMv2's, EVA02's, EVA-CLIP 18B's, InternViT's; then all at once.
        Sizes{"gated", "serial", 48, 3, 2.75, 2, 37, false, true, "layernorm", "silu", 0.3,
              "gate halves"},
        Sizes{"no_bias", "serial", 44, 2, 3, 2, 19, false, false, "rmsnorm", "silu", 0,
              "gate no_bias"},
        Sizes{"normed_branches", "serial", 48, 3, 2.75, 2, 37, false, true, "layernorm", "silu", 0,
              "gate attn_norm mlp_norm pairs"},
        Sizes{"beit3", "serial", 60, 3, 3, 3, 19, false, true, "layernorm", "gelu", 0,
              "attn_norm mlp_norm"},
        Sizes{"post_norm", "serial", 48, 3, 3, 2, 101, false, false, "rmsnorm", "gelu", 0,
              "post_norm"},
        Sizes{"post_layer_norm", "serial", 44, 2, 3, 2, 7, false, true, "layernorm", "quick_gelu",
              0, "post_norm"},
        Sizes{"wide_norm", "serial", 60, 3, 3, 2, 37, true, false, "rmsnorm", "gelu", 0.3,
              "wide_norm"},
        Sizes{"wide_layer_norm", "serial", 48, 2, 2, 3, 19, true, true, "layernorm", "quick_gelu",
              0, "wide_norm causal"},
        Sizes{"parallel_all", "parallel", 60, 3, 2.5, 2, 37, true, true, "layernorm", "silu", 0.3,
              "gate attn_norm mlp_norm wide_norm pairs"},
        Sizes{"parallel_no_bias", "parallel", 44, 2, 3, 2, 19, true, false, "rmsnorm", "quick_gelu",
              0, "mlp_norm no_bias"},
        Sizes{"gated_parallel", "parallel", 58, 2, 2.5, 3, 37, true, false, "rmsnorm", "gelu_tanh",
              0, "gate"},
        Sizes{"gated_parallel_biases", "parallel", 48, 3, 4, 2, 131, true, true, "rmsnorm", "gelu",
              0, "gate causal pairs"}),
    [](const auto& parameter) { return std::string(parameter.param.name); });

// A layer's result, its gradients for all leaves that are defined, and its result without a graph.
void expect_equal_layers(const std::function<at::Tensor()>& fused,
                         const std::function<at::Tensor()>& plain, std::vector<at::Tensor> leaves,
                         double bound) {
  std::erase_if(leaves, [](const at::Tensor& leaf) { return !leaf.defined(); });
  const at::AutoGradMode is_recording(true);
  const at::Tensor y = fused(), want = plain();
  EXPECT_EQ(y.scalar_type(), want.scalar_type());
  EXPECT_LT(relative_difference(y.detach(), want.detach()), bound);
  const at::Tensor dy = at::randn_like(want);
  const auto got = torch::autograd::grad({y}, leaves, {dy}),
             wanted = torch::autograd::grad({want}, leaves, {dy});
  for (size_t i = 0; i < leaves.size(); ++i) {
    EXPECT_EQ(got[i].scalar_type(), wanted[i].scalar_type());
    EXPECT_LT(relative_difference(got[i], wanted[i]), bound) << "leaf " << i;
  }
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(at::equal(fused(), y.detach()));
}

class RealBlock : public testing::TestWithParam<Sizes> {};

TEST_P(RealBlock, EqualsTheReferenceForwardAndEveryGradient) {
  expect_equals_the_reference(make_engine("fused"), GetParam(), 1e-5);
}

// Blocks of published models at their own widths: heads of 64, 72, 80, 88 and 128, odd hidden
// units.
INSTANTIATE_TEST_SUITE_P(Slow, RealBlock,
                         testing::Values(Sizes{"dinov2_g", "serial", 1536, 24, 4096.0 / 1536, 2, 17,
                                               false, true, "layernorm", "silu", 0.5, "gate"},
                                         Sizes{"eva02_l", "serial", 1024, 16, 2730.5 / 1024, 2, 17,
                                               false, true, "layernorm", "silu", 0,
                                               "gate mlp_norm pairs"},
                                         Sizes{"siglip_so400m", "serial", 1152, 16, 4304.5 / 1152,
                                               2, 17, false, true, "layernorm", "gelu_tanh"},
                                         Sizes{"clip_h", "serial", 1280, 16, 4, 2, 17, false, true,
                                               "layernorm", "quick_gelu"},
                                         Sizes{"eva_g", "serial", 1408, 16, 6144.5 / 1408, 2, 17,
                                               false, true, "layernorm", "gelu"},
                                         Sizes{"aimv2_3b", "serial", 3072, 24, 8192.5 / 3072, 2, 17,
                                               false, false, "rmsnorm", "silu", 0, "gate no_bias"},
                                         Sizes{"internvit_6b", "serial", 3200, 25, 4, 2, 17, true,
                                               false, "rmsnorm", "gelu", 0.1, "wide_norm"},
                                         Sizes{"dinov3_7b", "serial", 4096, 32, 2, 2, 17, false,
                                               false, "layernorm", "silu", 0.5, "gate halves"},
                                         Sizes{"eva_clip_18b", "serial", 5120, 40, 5, 2, 17, false,
                                               false, "rmsnorm", "gelu", 0, "post_norm"},
                                         Sizes{"vit_22b", "parallel", 6144, 48, 4, 2, 17}),
                         [](const auto& sizes) { return std::string(sizes.param.name); });

TEST(FusedLinear, EqualsAtensAndItsGradientsForOddSizes) {
  for (const auto& [rows, in, out] : {std::tuple{1, 1, 1}, {7, 49, 96}, {130, 65, 10}})
    for (const auto type : {at::kFloat, at::kBFloat16})
      for (const bool has_bias : {true, false}) {
        const at::Tensor x = at::randn({rows, 2, in}).to(type).requires_grad_(true),
                         w = at::randn({out, in}).requires_grad_(true),
                         b = has_bias ? at::randn({out}).requires_grad_(true) : at::Tensor();
        // In bf16 each side rounds the factors and the result.
        expect_equal_layers([&] { return fused_linear(x, w, b); },
                            [&] { return plain_linear(x, w, b); }, {x, w, b},
                            type == at::kFloat ? 1e-5 : 2.0 / 128);
      }
}

TEST(FusedNorm, EqualsAtensAndItsGradientsForOddSizes) {
  for (const auto type : {at::kFloat, at::kBFloat16})
    for (const int64_t rows : {1, 37})
      for (const int64_t width : {7, 64})
        for (const bool is_centred : {false, true}) {
          const at::Tensor x = (at::randn({rows, 3, width}) + 0.5).to(type).requires_grad_(true),
                           w = at::randn({width}).requires_grad_(true),
                           b = is_centred ? at::randn({width}).requires_grad_(true) : at::Tensor();
          const NormSpec norm{w, b, 1e-6, is_centred};
          // In bf16 both round the result and the input's gradient once.
          expect_equal_layers([&] { return fused_norm(x, norm); },
                              [&] { return plain_norm(x, norm); }, {x, w, b},
                              type == at::kFloat ? 1e-5 : 1.0 / 128);
        }
}

TEST(FusedQueryAttention, EqualsAtensAndItsGradientsForOddSizes) {
  for (const auto& [images, tokens, heads, size] :
       {std::tuple{1, 1, 1, 1}, {5, 16, 3, 32}, {3, 37, 2, 7}, {2, 70, 1, 80}})
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      const int64_t num_heads = heads, width = num_heads * size;
      const at::Tensor query = at::randn({width}).to(type).requires_grad_(true),
                       keys_values =
                           at::randn({images, tokens, 2 * width}).to(type).requires_grad_(true);
      // In bf16 ATen rounds the weights before it sums values, and each image's part of the query's
      // gradient.
      expect_equal_layers([&] { return fused_query_attention(query, keys_values, num_heads); },
                          [&] { return plain_query_attention(query, keys_values, num_heads); },
                          {query, keys_values}, type == at::kFloat ? 1e-5 : 4.0 / 128);
    }
}

TEST(PackedCache, PacksAnewWhenAWeightHasChanged) {
  const at::NoGradGuard no_grad;
  const ViTConfig config = config_of({"", "parallel", 48, 3, 4, 2, 19});
  NamedTensors weights = block_weights(config);
  const at::Tensor x = at::randn({2, 19, 48});
  const auto engine = make_engine("fused");
  PackedCache cache;
  const auto packed = [&] {
    return cache.get(*engine, block_spec(config), block_unit(0), weights, at::kFloat);
  };
  const PackedWeights* first = packed();
  EXPECT_EQ(packed(), first);
  for (const bool is_in_place : {true, false}) {
    at::Tensor& weight = weights.at("in_proj.weight");
    is_in_place ? static_cast<void>(weight.mul_(2)) : static_cast<void>(weight = weight * 2);
    EXPECT_LT(relative_difference(engine->forward({block_spec(config), weights, {}}, x, packed()),
                                  engine->forward({block_spec(config), weights, {}}, x)),
              1e-6);
  }
}

}  // namespace
}  // namespace vit22b
