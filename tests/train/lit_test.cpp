#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "checkpoint/container/safetensors_file.h"
#include "checkpoint/run_checkpoint.h"
#include "core/error.h"
#include "core/log.h"
#include "dist/threads.h"
#include "eval/text_tower.h"
#include "model/initialise.h"
#include "store/resident.h"
#include "support/files.h"
#include "support/pictures.h"
#include "support/tensors.h"
#include "train/tasks/contrastive_loss.h"
#include "train/trainer.h"

namespace vit22b {
namespace {

using test::error_of;
using test::relative_difference;
using test::TempFolder;

at::Tensor oracle(const std::string& name) {
  static const SafetensorsFile file(test::source_path("tests/oracle/contrastive.safetensors"));
  return file.load(name);
}

/// The texts as a text tower's head gives them: scaled, with the bias beside.
at::Tensor scaled_texts(const at::Tensor& texts_BE, const at::Tensor& scale,
                        const at::Tensor& bias) {
  return at::cat({texts_BE * scale.exp(), bias.expand({texts_BE.size(0), 1})}, 1);
}

class ContrastiveOracle : public testing::TestWithParam<std::string> {};

TEST_P(ContrastiveOracle, LossAndGradientsMatchOpenClipInChunksOfAnySize) {
  const std::string kind = GetParam();
  for (const int64_t chunk : {0, 1, 7, 33}) {
    const at::AutoGradMode grad(true);
    const at::Tensor texts = oracle("texts").requires_grad_(),
                     scale = oracle("scale").requires_grad_(),
                     bias = oracle("bias").requires_grad_();
    const at::Tensor head = scaled_texts(texts, scale, bias);
    const ContrastiveLoss got =
        contrastive_loss(kind, oracle("images"), head.detach(), single_process(), chunk);
    head.backward(got.text_gradient_BF);
    EXPECT_NEAR(got.loss.item<double>(), oracle(kind + "/loss").item<double>(), 1e-5) << chunk;
    // Sums of 33 terms in another order.
    EXPECT_LT(relative_difference(got.image_gradient_BE, oracle(kind + "/images.grad")), 1e-5);
    EXPECT_LT(relative_difference(texts.grad(), oracle(kind + "/texts.grad")), 1e-5);
    EXPECT_LT(relative_difference(scale.grad(), oracle(kind + "/scale.grad")), 1e-5);
    EXPECT_NEAR(bias.grad().item<double>(), oracle(kind + "/bias.grad").item<double>(), 1e-6);
  }
}

// Each rank has a third of the pairs; what the trainer averages is the whole batch's.
TEST_P(ContrastiveOracle, RanksOfTheDataAxisGiveTheWholeBatch) {
  constexpr int64_t kRanks = 3, kOwn = 11;
  const at::Tensor texts = scaled_texts(oracle("texts"), oracle("scale"), oracle("bias"));
  const ContrastiveLoss whole =
      contrastive_loss(GetParam(), oracle("images"), texts, single_process());
  std::vector<ContrastiveLoss> parts(kRanks);
  run_as_threads(kRanks, [&](const std::shared_ptr<Transport>& transport) {
    const Mesh mesh = make_mesh(transport, {kRanks, 1}, 60);
    const Share own = mesh.share(MeshAxis::kData, kRanks * kOwn);
    parts[static_cast<size_t>(own.first / kOwn)] =
        contrastive_loss(GetParam(), oracle("images").narrow(0, own.first, own.count),
                         texts.narrow(0, own.first, own.count), mesh, /*chunk=*/4);
  });
  at::Tensor loss = at::zeros({});
  std::vector<at::Tensor> images, of_texts;
  for (const ContrastiveLoss& part : parts) {
    loss = loss + part.loss / kRanks;
    images.push_back(part.image_gradient_BE / kRanks);
    of_texts.push_back(part.text_gradient_BF / kRanks);
  }
  EXPECT_NEAR(loss.item<double>(), whole.loss.item<double>(), 1e-5);
  EXPECT_LT(relative_difference(at::cat(images), whole.image_gradient_BE), 1e-5);
  EXPECT_LT(relative_difference(at::cat(of_texts), whole.text_gradient_BF), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Kinds, ContrastiveOracle, testing::Values("sigmoid", "softmax"));

/// open_clip's SigLIP text tower in our terms.
ViTConfig oracle_tower() {
  ViTConfig config = preset("test8", "serial");
  config.embed_dim = 24;
  config.num_heads = 3;
  config.depth = 2;
  config.mlp.mlp_ratio = 2.5;
  config.mlp.act_layer = "gelu_tanh";
  config.tokens.class_token = false;
  config.pool.global_pool = "last";
  config.num_classes = 0;
  config.text.vocab_size = 50;
  config.text.context_length = 16;
  config.text.joint_dim = 20;
  return config;
}

TEST(TextTowerOracle, ForwardMatchesOpenClipsSiglipTextTower) {
  const auto folder = test::source_path("tests/oracle/text_tower");
  const SafetensorsFile expected(folder / "expected.safetensors"),
      weights_file(folder / "text.safetensors");
  const ViTConfig config = oracle_tower();
  const std::vector<ParameterRow> table = parameter_table(config);
  ASSERT_EQ(table.size(), weights_file.entries().size());
  NamedTensors weights;
  for (const ParameterRow& row : table)
    weights[row.name] = weights_file.load(row.name).to(at::kFloat);
  const at::Tensor joint = expected.load("joint");
  for (const char* engine : {"reference", "fused"}) {
    VitPredictor predictor(config, std::make_shared<ResidentStore>(table, weights, c10::kCPU),
                           {.engine = engine});
    const at::Tensor got = predictor.logits(expected.load("tokens"));
    ASSERT_EQ(got.size(1), 21);
    EXPECT_LT(relative_difference(got.slice(1, 0, 20), joint / joint.norm(2, 1, true)), 2e-6)
        << engine;
    EXPECT_EQ(got[3][20].item<double>(), -10) << engine;
  }
}

TrainConfig lit_config(const TempFolder& folder, const std::vector<std::string>& more = {}) {
  ConfigTree tree;
  for (const char* text :
       {"task=lit", "total_steps=6", "log_steps=1", "eval_steps=6", "ckpt_steps=6",
        "model.name=test8", "model.context_length=8", "lit.tokenizer=train:28",
        "data.source=manifest", "data.batch_size=16", "data.val=10%", "optim.name=sgd",
        "optim.lr=0.1", "schedule.name=constant", "threads=1"})
    set_override(tree, text);
  set_override(tree, "data.root=" + (folder / "m.csv").string());
  set_override(tree, "lit.image_tower=" + (folder / "image").string());
  set_override(tree, "lit.cache=" + (folder / "cache").string());
  for (const std::string& text : more) set_override(tree, text);
  return train_config_from_tree(tree);
}

/// A LiT run of `ranks` ranks of the data axis.
void run_lit(const TrainConfig& config, const std::filesystem::path& out, int64_t ranks = 1,
             bool is_resuming = true) {
  log_set_quiet(true);
  run_as_threads(ranks, [&](const std::shared_ptr<Transport>& transport) {
    const Mesh mesh = make_mesh(transport, {ranks, 1}, /*deadline_s=*/120);
    FileOps ops(ExitCode::kCheckpoint);
    TrainOptions options;
    options.out = out;
    options.is_resuming = is_resuming;
    options.is_quiet = true;
    options.mesh = &mesh;
    train(config, options, ops);
  });
}

NamedTensors image_weights(const std::filesystem::path& folder) {
  const SafetensorsFile file(folder / "model.safetensors");
  NamedTensors weights;
  for (const auto& [name, entry] : file.entries()) weights[name] = file.load(name);
  return weights;
}

void write_image_tower(const std::filesystem::path& folder) {
  ViTConfig config = preset("test8");
  config.img_size = {16, 16};
  config.num_classes = 0;
  NamedTensors weights;
  for (const ParameterRow& row : parameter_table(config))
    weights[row.name] = initial_tensor(row, 0);
  FileOps ops;
  ops.make_folder(folder);
  Manifest manifest;
  write_model(ops, folder, {config, default_pp_eval(config), {}}, weights, manifest);
  write_manifest(ops, folder, manifest);
}

TEST(LitTraining, TwoRanksOfTheDataAxisEqualOne) {
  const TempFolder folder;
  test::write_captioned_pictures(folder.path());
  write_image_tower(folder / "image");
  for (const int64_t ranks : {1, 2})
    run_lit(lit_config(folder), folder / std::to_string(ranks), ranks);
  const NamedTensors one = load_run_checkpoint(folder / "1/ckpt/latest").weights,
                     two = load_run_checkpoint(folder / "2/ckpt/latest").weights;
  // Six steps of float32 sums in another order; the keys' bias has no gradient but rounding.
  for (const auto& [name, tensor] : one) {
    if (name.ends_with("attn_pool.kv.bias")) continue;
    EXPECT_LT(relative_difference(two.at(name), tensor), 1e-5) << name;
  }
}

/// What a run's validations have said, by step.
std::vector<std::string> validations(const std::filesystem::path& run) {
  std::vector<std::string> lines;
  for (const std::string& line : split(test::read_file(run / "metrics.jsonl"), '\n'))
    if (line.find("val/") != std::string::npos) lines.push_back(line);
  return lines;
}

// Each rank embeds its share of three pairs, of which the fourth has none.
TEST(LitTraining, RanksShareTheValidationAndSayWhatOneDoes) {
  const TempFolder folder;
  test::write_captioned_pictures(folder.path());
  write_image_tower(folder / "image");
  for (const std::string store : {"resident", "sharded"})
    for (const std::string unlock : {"none", "all"}) {
      // A rate of zero: the same weights, whatever order gradients are summed in.
      const TrainConfig config = lit_config(folder, {"lit.unlock=" + unlock, "store=" + store,
                                                     "optim.lr=0", "data.val=5%", "total_steps=2"});
      const std::string name = store + unlock;
      run_lit(config, folder / ("one" + name), 1);
      run_lit(config, folder / ("four" + name), 4);
      const auto one = validations(folder / ("one" + name)),
                 four = validations(folder / ("four" + name));
      ASSERT_EQ(one.size(), 1U);
      ASSERT_EQ(four.size(), 1U);
      const auto a = nlohmann::json::parse(one[0]), b = nlohmann::json::parse(four[0]);
      for (const char* key : {"val/accuracy", "val/recall_at_5", "val/text_to_image_recall_at_1"})
        EXPECT_EQ(a.at(key), b.at(key)) << name << " " << key;
      EXPECT_NEAR(a.at("val/loss").get<double>(), b.at("val/loss").get<double>(), 1e-5) << name;
    }
}

TEST(LitTraining, ANewStartHasATokenizerOfItsOwnAndAResumedRunTheOneItHad) {
  const TempFolder folder;
  test::write_captioned_pictures(folder.path());
  write_image_tower(folder / "image");
  const auto pieces = [&](const std::string& run) {
    return load_run_checkpoint(folder / run / "ckpt/latest").info.text->config.text.vocab_size;
  };
  const auto with = [&](const std::string& tokenizer, const std::string& total) {
    return lit_config(folder,
                      {"lit.tokenizer=" + tokenizer, "total_steps=" + total, "eval_steps=0"});
  };
  run_lit(with("train:28", "2"), folder / "run");
  run_lit(with("train:26", "2"), folder / "run", 1, /*is_resuming=*/false);
  EXPECT_EQ(pieces("run"), 26);
  EXPECT_TRUE(std::filesystem::exists(folder / "run/previous-1/tokenizer.model"));

  // A file that is not there any more, or lies elsewhere, is no other tokenizer; another one is.
  const auto file = folder / "words.model", moved = folder / "moved.model",
             other = folder / "run/previous-1/tokenizer.model";
  std::filesystem::copy(folder / "run/tokenizer.model", file);
  run_lit(with(file.string(), "2"), folder / "of_file");
  std::filesystem::rename(file, moved);
  run_lit(with(file.string(), "4"), folder / "of_file");
  run_lit(with(moved.string(), "6"), folder / "of_file");
  EXPECT_EQ(load_run_checkpoint(folder / "of_file/ckpt/latest").state.step, 6);
  EXPECT_NE(error_of<UsageError>([&] {
              run_lit(with(other.string(), "8"), folder / "of_file");
            }).find("lit.tokenizer: "),
            std::string::npos);
  EXPECT_NE(error_of<UsageError>([&] {
              run_lit(with("train:28", "8"), folder / "run");
            }).find("lit.tokenizer: "),
            std::string::npos);
}

/// Pictures with captions, an image tower, and where its runs are.
class UnlockedLit : public testing::Test {
 protected:
  UnlockedLit() {
    test::write_captioned_pictures(folder_.path());
    write_image_tower(folder_ / "image");
  }
  /// The image tower's weights after a run.
  NamedTensors trained(const std::string& name, const std::vector<std::string>& more,
                       int64_t ranks = 1) {
    run_lit(lit_config(folder_, more), folder_ / name, ranks);
    return image_weights(folder_ / name / "ckpt/latest");
  }
  TempFolder folder_;
};

TEST_F(UnlockedLit, TrainsTheLastBlocksAndLeavesTheRest) {
  const NamedTensors before = image_weights(folder_ / "image"),
                     after = trained("one", {"lit.unlock=1"}),
                     all = trained("all", {"lit.unlock=all"});
  const std::string last = concat("blocks.", preset("test8").depth - 1, ".mlp_out_proj.weight");
  for (const char* name : {"pos_embed", "patch_embed.proj.weight", "blocks.0.in_proj.weight"}) {
    EXPECT_TRUE(test::is_same(before.at(name), after.at(name))) << name;
    EXPECT_FALSE(test::is_same(before.at(name), all.at(name))) << name;
  }
  for (const std::string& name : {last, std::string("attn_pool.kv.weight")})
    EXPECT_FALSE(test::is_same(before.at(name), after.at(name))) << name;
}

// SGD without clipping: a tenth of the rate is a tenth of the first step.
TEST_F(UnlockedLit, TheImageTowersRateIsItsOwn) {
  const std::vector<std::string> one_step = {"lit.unlock=all", "total_steps=1", "eval_steps=0",
                                             "optim.clip_norm=0", "optim.weight_decay=0"};
  std::vector<std::string> slow = one_step;
  slow.emplace_back("lit.image_lr=0.1");
  const NamedTensors before = image_weights(folder_ / "image"), whole = trained("whole", one_step),
                     tenth = trained("tenth", slow);
  const std::string name = "blocks.0.in_proj.weight";
  // Differences of float32 weights keep some four digits.
  EXPECT_LT(relative_difference(10 * (tenth.at(name) - before.at(name)),
                                whole.at(name) - before.at(name)),
            1e-3);
}

TEST_F(UnlockedLit, TwoRanksEqualOneAndUpdatesInTheBackwardPassEqualDeferredOnes) {
  const NamedTensors one = trained("1", {"lit.unlock=all"}),
                     two = trained("2", {"lit.unlock=all"}, /*ranks=*/2),
                     sharded = trained("s", {"lit.unlock=all", "store=sharded"}, /*ranks=*/2);
  for (const auto& [name, tensor] : one) {
    if (name.ends_with("attn_pool.kv.bias")) continue;  // no gradient but rounding in the keys
    EXPECT_LT(relative_difference(two.at(name), tensor), 1e-5) << name;
    EXPECT_LT(relative_difference(sharded.at(name), tensor), 1e-5) << name;
  }
  const NamedTensors now = trained("now", {"lit.unlock=all", "update=now", "optim.clip_norm=0"}),
                     deferred = trained("deferred", {"lit.unlock=all", "optim.clip_norm=0"});
  for (const auto& [name, tensor] : deferred)
    EXPECT_TRUE(test::is_same(now.at(name), tensor)) << name;
}

TEST_F(UnlockedLit, GoesOnBitForBit) {
  const NamedTensors whole = trained("whole", {"lit.unlock=all", "optim.polyak=0.9"});
  trained("cut", {"lit.unlock=all", "optim.polyak=0.9", "total_steps=3"});
  const NamedTensors cut = trained("cut", {"lit.unlock=all", "optim.polyak=0.9"});
  for (const auto& [name, tensor] : whole) EXPECT_TRUE(test::is_same(cut.at(name), tensor)) << name;
}

TEST_F(UnlockedLit, RefusesAnotherWord) {
  EXPECT_EQ(error_of<UsageError>([&] { lit_config(folder_, {"lit.unlock=some"}); }),
            "lit.unlock is 'some', want none, all, or a number of last blocks");
}

}  // namespace
}  // namespace vit22b
