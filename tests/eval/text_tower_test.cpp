#include "eval/text_tower.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/files.h"
#include "support/state.h"

namespace vit22b {
namespace {

using test::error_of;
using test::TempFolder;

constexpr int64_t kWidth = 8, kHidden = 12, kVocabulary = 600, kContext = 6, kJoint = 5;
// Of 512 bytes, 4 merges and 2 marks.
constexpr const char* kMerges = "#version: 0.2\nc a\nca t</w>\nd o\ndo g</w>\n";

/// A CLIP of transformers', by its tensors' names.
test::State clip_state() {
  test::State s;
  for (const std::string tower : {"vision_model.", "text_model."}) {
    const std::string layer = tower + "encoder.layers.0.";
    for (const char* part : {"q_proj", "k_proj", "v_proj", "out_proj"})
      s.layer(layer + "self_attn." + part, kWidth, kWidth);
    s.layer(layer + "mlp.fc1", kHidden, kWidth).layer(layer + "mlp.fc2", kWidth, kHidden);
    s.norm(layer + "layer_norm1", kWidth).norm(layer + "layer_norm2", kWidth);
  }
  s.norm("vision_model.pre_layrnorm", kWidth).norm("vision_model.post_layernorm", kWidth);
  s.norm("text_model.final_layer_norm", kWidth).add("logit_scale", {});
  s.add("vision_model.embeddings.class_embedding", {kWidth});
  s.add("vision_model.embeddings.patch_embedding.weight", {kWidth, 3, 4, 4});
  s.add("vision_model.embeddings.position_embedding.weight", {5, kWidth});
  s.add("text_model.embeddings.token_embedding.weight", {kVocabulary, kWidth});
  s.add("text_model.embeddings.position_embedding.weight", {kContext, kWidth});
  s.add("visual_projection.weight", {kJoint, kWidth});
  return s.add("text_projection.weight", {kJoint, kWidth});
}

void write_clip(const TempFolder& folder) {
  clip_state().write(folder / "model.safetensors");
  test::write_file(folder / "config.json",
                   R"({"model_type": "clip", "vision_config": {"num_attention_heads": 2,
                       "image_size": 8, "patch_size": 4},
                       "text_config": {"num_attention_heads": 2, "eos_token_id": 517}})");
}

std::string refusal(const TempFolder& folder, const std::filesystem::path& tokenizer = {}) {
  return error_of<UserError>(
      [&] { TextTower(folder.path(), PredictorOptions{}, Texts::kAsWritten, tokenizer); });
}

TEST(TextTower, WordsBehindTheEndOfATextCountForNothing) {
  const TempFolder folder;
  write_clip(folder);
  const TextTower tower(folder.path(), PredictorOptions{}, Texts::kAsWords);
  const at::Tensor words = at::tensor({516, 513, 517, 0, 0, 0}, at::kLong).view({1, kContext}),
                   others = at::tensor({516, 513, 517, 9, 517, 3}, at::kLong).view({1, kContext});
  const JointTexts joint = tower.embed_words(words);
  EXPECT_EQ(joint.unit_NE.sizes(), (at::IntArrayRef{1, kJoint}));
  EXPECT_NEAR(joint.unit_NE.norm().item<double>(), 1, 1e-6);
  EXPECT_TRUE(at::allclose(joint.unit_NE, tower.embed_words(others).unit_NE));
  EXPECT_TRUE(at::allclose(joint.unit_NE, tower.embed_words(words.slice(1, 0, 3)).unit_NE));
  EXPECT_FALSE(at::allclose(joint.unit_NE, tower.embed_words(words.flip(1)).unit_NE));
}

TEST(TextTower, WordsThatTheVocabularyHasNotAreRefused) {
  const TempFolder folder;
  write_clip(folder);
  const TextTower tower(folder.path(), PredictorOptions{}, Texts::kAsWords);
  EXPECT_EQ(error_of<DataError>([&] {
              tower.embed_words(at::full({1, 2}, 600, at::kLong));
            }),
            "words are 600 to 600, the vocabulary has 0 to 599");
  EXPECT_EQ(error_of<DataError>([&] {
              tower.embed_words(at::full({1, 7}, 1, at::kLong));
            }),
            "words are [1, 7], want [N, T] of at most 6 words, at least one row");
}

TEST(TextTower, TheFoldersTokenizerIsTaken) {
  const TempFolder folder;
  write_clip(folder);
  EXPECT_EQ(refusal(folder),
            folder.path().string() +
                " holds no tokenizer (tokenizer.json, spiece.model, merges.txt); give it with "
                "--tokenizer FILE, for CLIP's files bpe_simple_vocab_16e6.txt.gz");
  test::write_file(folder / "merges.txt", kMerges);
  const TextTower tower(folder.path(), PredictorOptions{});
  EXPECT_TRUE(at::equal(tower.words({"Cat  dog"}),
                        at::tensor({516, 513, 515, 517, 0, 0}, at::kLong).view({1, kContext})));
  EXPECT_EQ(tower.image_feature(), "image_embedding");
}

TEST(TextTower, ATokenizerThatEndsNoTextIsAnotherModels) {
  const TempFolder folder;
  write_clip(folder);
  test::write_file(folder / "merges.txt", "#version: 0.2\nc a\n");  // ends with 514
  const TextTower tower(folder.path(), PredictorOptions{});
  EXPECT_EQ(error_of<CheckpointError>([&] { tower.words({"cat"}); }),
            folder.path().string() +
                ": its texts are read at the word that ends them (number 517), which the tokenizer "
                "does not make; it is another model's");
}

TEST(TextTower, ATokenizerOfMorePiecesIsAnotherModels) {
  const TempFolder folder;
  write_clip(folder);
  std::string merges = kMerges;
  for (int i = 0; i < 90; ++i) merges += concat("a", i, " b\n");
  test::write_file(folder / "other.txt", merges);
  EXPECT_EQ(refusal(folder, folder / "other.txt"),
            concat((folder / "other.txt").string(), " has 608 pieces, the text tower of ",
                   folder.path().string(), " only 600; it is another model's"));
}

}  // namespace
}  // namespace vit22b
