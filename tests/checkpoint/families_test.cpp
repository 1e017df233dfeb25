#include <gtest/gtest.h>

#include "checkpoint/import/renamed.h"
#include "checkpoint/model_info.h"
#include "checkpoint/text_side.h"
#include "checkpoint/weights.h"
#include "core/error.h"
#include "support/files.h"
#include "support/state.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::State;
using test::TempFolder;

constexpr int64_t kWidth = 8, kHidden = 12, kPatches = 4;

/// timm's names, as DeiT's, MAE's and DINO's files have them.
State plain_state() {
  State s;
  s.add("cls_token", {1, 1, kWidth}).add("pos_embed", {1, kPatches + 1, kWidth});
  s.add("patch_embed.proj.weight", {kWidth, 3, 4, 4}).add("patch_embed.proj.bias", {kWidth});
  s.norm("blocks.0.norm1", kWidth).norm("blocks.0.norm2", kWidth).norm("norm", kWidth);
  s.layer("blocks.0.attn.qkv", 3 * kWidth, kWidth).layer("blocks.0.attn.proj", kWidth, kWidth);
  s.layer("blocks.0.mlp.fc1", kHidden, kWidth).layer("blocks.0.mlp.fc2", kWidth, kHidden);
  return s;
}

/// DINOv3's as Hugging Face has them, with a gate.
State dinov3_state() {
  State s;
  const std::string layer = "layer.0.";
  s.add("embeddings.cls_token", {1, 1, kWidth}).add("embeddings.mask_token", {1, 1, kWidth});
  s.add("embeddings.register_tokens", {1, 2, kWidth});
  s.add("embeddings.patch_embeddings.weight", {kWidth, 3, 4, 4});
  s.add("embeddings.patch_embeddings.bias", {kWidth});
  s.norm(layer + "norm1", kWidth).norm(layer + "norm2", kWidth).norm("norm", kWidth);
  for (const char* part : {"q_proj", "v_proj", "o_proj"})
    s.layer(layer + "attention." + part, kWidth, kWidth);
  s.add(layer + "attention.k_proj.weight", {kWidth, kWidth});
  for (const char* scale : {"layer_scale1.lambda1", "layer_scale2.lambda1"})
    s.add(layer + scale, {kWidth});
  s.layer(layer + "mlp.gate_proj", kHidden, kWidth).layer(layer + "mlp.up_proj", kHidden, kWidth);
  s.layer(layer + "mlp.down_proj", kWidth, kHidden);
  return s;
}

constexpr const char* kDinov3Config =
    R"({"model_type": "dinov3_vit", "num_attention_heads": 2, "hidden_act": "silu",
        "use_gated_mlp": true, "image_size": 8, "num_register_tokens": 2})";

fs::path dinov3_folder(const TempFolder& folder, const State& state = dinov3_state()) {
  test::write_file(folder / "config.json", kDinov3Config);
  state.write(folder / "model.safetensors");
  return folder.path();
}

std::string refusal(const fs::path& checkpoint) {
  return error_of<UserError>([&] {
    const CheckpointPath path = resolve_checkpoint(checkpoint);
    load_weights(path, parameter_table(read_model_info(path).config));
  });
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Families, SeparateTensorsBecomeOneInOrderAndAbsentBiasesAreZero) {
  const TempFolder folder;
  const State state = dinov3_state();
  const fs::path path = dinov3_folder(folder, state);
  const ModelInfo info = read_model_info(path);
  const NamedTensors weights = load_weights(path, parameter_table(info.config));
  const std::string attention = "layer.0.attention.";
  EXPECT_TRUE(at::equal(weights.at("blocks.0.attn.qkv.bias"),
                        at::cat({state.at(attention + "q_proj.bias"), at::zeros({kWidth}),
                                 state.at(attention + "v_proj.bias")})));
  EXPECT_TRUE(at::equal(
      weights.at("blocks.0.mlp.fc1.weight"),
      at::cat({state.at("layer.0.mlp.gate_proj.weight"), state.at("layer.0.mlp.up_proj.weight")})));
  EXPECT_TRUE(info.config.mlp.swiglu);
  EXPECT_EQ(info.config.mlp_dim(), kHidden);
  EXPECT_EQ(info.config.mlp.act_layer, "silu");
}

TEST(Families, WhatAFieldIsFromIsTold) {
  const TempFolder folder;
  const ModelInfo info = read_model_info(dinov3_folder(folder));
  EXPECT_EQ(info.family, "hf_dinov3");
  EXPECT_EQ(info.origins.at("act_layer"), "config.json, hidden_act");
  EXPECT_EQ(info.origins.at("norm_eps"),
            "the default of transformers' dinov3_vit, whose layer_norm_eps config.json leaves out");
}

TEST(Families, HeadsThatNoFileSaysAreAskedFor) {
  const TempFolder folder;
  const fs::path file = plain_state().write(folder / "vit.safetensors");
  EXPECT_TRUE(has(refusal(file), "add model.num_heads=N behind the checkpoint")) << refusal(file);
  const ModelInfo info = read_model_info(resolve_checkpoint(file.string() + "?num_heads=2"));
  EXPECT_EQ(info.config.num_heads, 2);
  EXPECT_EQ(info.origins.at("num_heads"), "given");
}

TEST(Families, WhatFilesSayIsNotContradicted) {
  const TempFolder folder;
  const std::string path = dinov3_folder(folder).string();
  EXPECT_TRUE(has(refusal(path + "?num_heads=4"), "model.num_heads is given as 4, but"))
      << refusal(path + "?num_heads=4");
  EXPECT_EQ(refusal(path + "?num_heads=2"), "(nothing thrown)");
  EXPECT_EQ(refusal(path + "?norm_eps=1e-6"), "(nothing thrown)");  // a default is no word of it
  const fs::path file = plain_state().write(folder / "vit.safetensors");
  EXPECT_TRUE(has(refusal(path + "?num_head=2"), "num_heads")) << refusal(path + "?num_head=2");
}

TEST(Families, AFileWithoutAConfigIsNamedByWhatIsWrongWithAGivenField) {
  const TempFolder folder;
  const std::string file = plain_state().write(folder / "vit.safetensors").string();
  EXPECT_EQ(refusal(file + "?num_heads=3").find(file + ": model."), 0u)
      << refusal(file + "?num_heads=3");
}

TEST(Families, EveryFieldOfTheFunctionIsListed) {
  const TempFolder folder;
  std::map<std::string, std::string> values;
  for (const FunctionField& field : function_of(read_model_info(dinov3_folder(folder))))
    values[field.field] = field.value;
  EXPECT_EQ(values.at("qkv_bias"), "true");
  EXPECT_EQ(values.at("rope_bf16"), "false");
  EXPECT_EQ(values.at("drop_edge"), "false");
  EXPECT_EQ(values.at("mlp_hidden"), std::to_string(kHidden));
  EXPECT_EQ(values.count("vocab_size"), 0u);
}

TEST(Families, ATensorOfAnotherShapeIsNamedWithBoth) {
  const TempFolder folder;
  State state = dinov3_state();
  state.add("layer.0.norm2.weight", {kWidth + 1});
  EXPECT_TRUE(has(refusal(dinov3_folder(folder, state)),
                  "tensor 'layer.0.norm2.weight' has shape [9], the model has [8]"))
      << refusal(folder.path());
}

TEST(Families, ATensorThatNobodyKnowsIsAnError) {
  const TempFolder folder;
  State state = dinov3_state();
  state.add("layer.0.attention.relative_position", {4});
  EXPECT_TRUE(has(refusal(dinov3_folder(folder, state)),
                  "tensor 'layer.0.attention.relative_position' belongs to no parameter"))
      << refusal(folder.path());
}

TEST(Families, NamesOfTwoFamiliesInOneFileAreAnError) {
  const TempFolder folder;
  State state = dinov3_state();
  state.layer("blocks.0.mlp.fc2", kWidth, kHidden);
  EXPECT_TRUE(has(refusal(dinov3_folder(folder, state)), "names of two families"))
      << refusal(folder.path());
}

TEST(Families, AMissingTensorOfSeveralIsNamed) {
  const TempFolder folder;
  State state = dinov3_state();
  state.remove("layer.0.attention.k_proj.weight");
  EXPECT_TRUE(has(refusal(dinov3_folder(folder, state)),
                  "of the 3 tensors that make 'blocks.0.attn.qkv.weight' number 2 is missing"))
      << refusal(folder.path());
}

TEST(Families, AnActivationThatNoBlockHasIsNamed) {
  const TempFolder folder;
  dinov3_folder(folder);
  std::string config = kDinov3Config;
  config.replace(config.find("silu"), 4, "relu");
  test::write_file(folder / "config.json", config);
  EXPECT_TRUE(has(refusal(folder.path()), "hidden_act is 'relu', want one of gelu"))
      << refusal(folder.path());
}

TEST(Families, CheckpointsOfNoFamilyAreRefused) {
  const TempFolder folder;
  const fs::path file = State().add("weight", {3}).write(folder / "x.safetensors");
  EXPECT_TRUE(has(refusal(file), "is of no family that is known")) << refusal(file);
  test::write_file(folder / "config.json", R"({"model_type": "swin"})");
  EXPECT_TRUE(has(refusal(file), "is of no family that is known")) << refusal(file);
}

TEST(Families, ClipsNamesWithoutAConfigAskWhoseTheyAre) {
  const TempFolder folder;
  State s;
  s.add("visual.class_embedding", {kWidth}).add("visual.conv1.weight", {kWidth, 3, 4, 4});
  s.add("visual.positional_embedding", {kPatches + 1, kWidth}).add("visual.proj", {kWidth, 5});
  s.norm("visual.ln_pre", kWidth).norm("visual.ln_post", kWidth);
  const std::string block = "visual.transformer.resblocks.0.";
  s.norm(block + "ln_1", kWidth).norm(block + "ln_2", kWidth);
  s.add(block + "attn.in_proj_weight", {3 * kWidth, kWidth});
  s.add(block + "attn.in_proj_bias", {3 * kWidth});
  s.layer(block + "attn.out_proj", kWidth, kWidth);
  s.layer(block + "mlp.c_fc", kHidden, kWidth).layer(block + "mlp.c_proj", kWidth, kHidden);
  s.add("logit_scale", {1});
  const std::string file = s.write(folder / "epoch.safetensors").string();
  EXPECT_TRUE(has(refusal(file), "nothing says whose")) << refusal(file);
  const CheckpointPath path = resolve_checkpoint(file + "?act_layer=gelu&rope=none&num_heads=2");
  const ModelInfo info = read_model_info(path);
  EXPECT_EQ(info.config.text.joint_dim, 5);
  const NamedTensors weights = load_weights(path, parameter_table(info.config));
  EXPECT_TRUE(at::equal(weights.at("head.weight"), s.at("visual.proj").t()));
  EXPECT_TRUE(at::equal(weights.at("head.bias"), at::zeros({5})));
}

/// Two towers of open_clip's, whose texts are of 9 words out of 7.
State two_towers() {
  State s;
  s.add("visual.class_embedding", {kWidth}).add("visual.conv1.weight", {kWidth, 3, 4, 4});
  s.add("visual.positional_embedding", {kPatches + 1, kWidth}).add("visual.proj", {kWidth, 5});
  s.norm("visual.ln_pre", kWidth).norm("visual.ln_post", kWidth).norm("ln_final", kWidth);
  for (const std::string block : {"visual.transformer.resblocks.0.", "transformer.resblocks.0."}) {
    s.norm(block + "ln_1", kWidth).norm(block + "ln_2", kWidth);
    s.add(block + "attn.in_proj_weight", {3 * kWidth, kWidth});
    s.add(block + "attn.in_proj_bias", {3 * kWidth});
    s.layer(block + "attn.out_proj", kWidth, kWidth);
    s.layer(block + "mlp.c_fc", kHidden, kWidth).layer(block + "mlp.c_proj", kWidth, kHidden);
  }
  s.add("token_embedding.weight", {7, kWidth}).add("positional_embedding", {9, kWidth});
  return s.add("text_projection", {kWidth, 5}).add("logit_scale", {});
}

TEST(Families, ATextTowerIsReadBesideItsImages) {
  const TempFolder folder;
  const State s = two_towers();
  s.write(folder / "open_clip_model.safetensors");
  test::write_file(folder / "open_clip_config.json",
                   R"({"model_cfg": {"quick_gelu": true, "vision_cfg": {"head_width": 4},
                       "text_cfg": {"heads": 4, "pool_type": "eos", "eos_id": 6}}})");
  const TextSide text = read_text_side({folder.path(), "open_clip_model.safetensors"});
  const ViTConfig& c = text.config;
  EXPECT_EQ(c.num_heads, 4);
  EXPECT_EQ(c.text.vocab_size, 7);
  EXPECT_EQ(c.text.context_length, 9);
  EXPECT_EQ(c.text.text_pool, "eos");
  EXPECT_EQ(c.text.eos_id, 6);
  EXPECT_EQ(c.mlp.act_layer, "quick_gelu");
  EXPECT_TRUE(c.text.causal);
  EXPECT_EQ(text.image_feature, "image_embedding");
  EXPECT_EQ(text.words.cleaning, Cleaning::kCaptionLower);
  const NamedTensors weights = load_weights(text.place, parameter_table(c));
  EXPECT_TRUE(at::equal(weights.at("joint.weight"), s.at("text_projection").t()));
  EXPECT_TRUE(at::equal(weights.at("logit_scale"), s.at("logit_scale").view({1})));
  EXPECT_TRUE(at::equal(weights.at("logit_bias"), at::zeros({1})));
}

std::string text_refusal(const std::string& place) {
  return error_of<UserError>([&] { read_text_side(resolve_checkpoint(place)); });
}

TEST(Families, OpenClipsWordsThatAreNotReadAreRefused) {
  const TempFolder folder;
  const auto with = [&](const State& state, const std::string& text) {
    state.write(folder / "open_clip_model.safetensors");
    test::write_file(
        folder / "open_clip_config.json",
        R"({"model_cfg": {"vision_cfg": {"head_width": 4}, "text_cfg": {"heads": 4, )" + text +
            "}}}");
    return error_of<UserError>([&] {
      read_text_side({folder.path(), "open_clip_model.safetensors"});
    });
  };
  EXPECT_EQ(with(two_towers(), R"("layers": 1)"), "(nothing thrown)");
  for (const auto& [text, error] :
       {std::pair(R"("layers": 2)", "layers is 2, the tensors' are 1"),
        std::pair(R"("tokenizer_mode": "clips")", "tokenizer_mode \"clips\" is not supported"),
        std::pair(R"("tokenizer_kwargs": {"padding_side": "left"})",
                  "padding_side is not supported"),
        std::pair(R"("hf_model_name": "roberta-base")", "is transformers' \"roberta-base\""),
        std::pair(R"("pool_type": "first")", "pool_type is 'first'")})
    EXPECT_TRUE(has(with(two_towers(), text), error)) << with(two_towers(), text);
  State without_bias = two_towers();
  for (const char* norm : {"ln_1", "ln_2"})
    without_bias.remove(concat("transformer.resblocks.0.", norm, ".bias"));
  EXPECT_TRUE(has(with(without_bias, R"("layers": 1)"), "LayerNorm without them is not supported"));
  State without_norm = two_towers();
  for (const char* name : {"ln_final.weight", "ln_final.bias"}) without_norm.remove(name);
  EXPECT_TRUE(has(with(without_norm, R"("layers": 1)"), "no norm behind its blocks"));
}

TEST(Families, AConfigOfOtherSizesThanTheTensorsIsRefused) {
  const TempFolder folder;
  std::string config = kDinov3Config;
  dinov3_folder(folder);
  config.insert(1, "\"num_hidden_layers\": 2, ");
  test::write_file(folder / "config.json", config);
  EXPECT_TRUE(has(refusal(folder.path()), "num_hidden_layers is 2, the tensors' is 1"))
      << refusal(folder.path());
}

TEST(Families, HeadsOfATextTowerWithoutAConfigAreAskedFor) {
  const TempFolder folder;
  const std::string file = two_towers().write(folder / "epoch.safetensors").string() +
                           "?act_layer=gelu&rope=none&num_heads=2";
  EXPECT_TRUE(has(text_refusal(file), "add model.text.num_heads=N behind")) << text_refusal(file);
  const TextSide text = read_text_side(resolve_checkpoint(file + "&text.num_heads=4"));
  EXPECT_EQ(text.config.num_heads, 4);
  EXPECT_EQ(text.config.mlp.act_layer, "gelu");
  EXPECT_TRUE(has(text_refusal(file + "&text.num_heads=4&text.causal=false&text.embed_dim=9"),
                  "model.text.embed_dim is given as 9, but"))
      << text_refusal(file + "&text.num_heads=4&text.causal=false&text.embed_dim=9");
}

TEST(Families, CheckpointsWithoutATextTowerSaySo) {
  const TempFolder folder;
  const std::string plain = plain_state().write(folder / "x.safetensors").string();
  EXPECT_TRUE(has(text_refusal(plain + "?num_heads=2"), "has no text tower that is read"))
      << text_refusal(plain + "?num_heads=2");
  State s = two_towers();
  for (const char* name : {"token_embedding.weight", "positional_embedding"}) s.remove(name);
  const std::string images = s.write(folder / "y.safetensors").string() +
                             "?act_layer=gelu&rope=none&num_heads=2&text.num_heads=2";
  EXPECT_TRUE(has(text_refusal(images), "has no text tower: there are no embeddings of words"))
      << text_refusal(images);
  const std::string apart =
      two_towers().add("text_projection", {kWidth, 6}).write(folder / "z.safetensors").string() +
      "?act_layer=gelu&rope=none&num_heads=2&text.num_heads=2";
  EXPECT_TRUE(has(text_refusal(apart), "its texts' embedding is 6 wide, its images' 5"))
      << text_refusal(apart);
}

TEST(Families, DistilledHeadsAreLeftOutAsOneWord) {
  const TempFolder folder;
  State s = plain_state();
  s.add("dist_token", {1, 1, kWidth}).add("pos_embed", {1, kPatches + 2, kWidth});
  s.layer("head", 5, kWidth).layer("head_dist", 5, kWidth);
  const std::string file = s.write(folder / "deit.safetensors").string() + "?num_heads=2";
  const ModelInfo info = read_model_info(resolve_checkpoint(file));
  EXPECT_EQ(info.config.num_classes, 0);
  EXPECT_EQ(info.config.tokens.reg_tokens, 1);
  EXPECT_EQ(refusal(file), "(nothing thrown)");
}

}  // namespace
}  // namespace vit22b
