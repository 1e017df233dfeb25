#include <gtest/gtest.h>

#include "checkpoint/container/safetensors_file.h"
#include "checkpoint/model_info.h"
#include "dist/threads.h"
#include "eval/load_predictor.h"
#include "eval/text_tower.h"
#include "kernels/norm.h"
#include "store/file_source.h"
#include "store/sharded.h"
#include "support/files.h"
#include "support/tensors.h"

// Authors' own files, small and random, beside what their code gave (tests/oracle/authors).
namespace vit22b {
namespace {

/// A file, what it does not say, and the words of its texts.
struct Author {
  const char* name;
  const char* file;
  const char* given;
  std::vector<int64_t> words = {};
};

// Widths of 32 are none of the published ones, so heads are given; so are EVA's order of norms, by
// which its sizes are told apart.
const Author kAuthors[] = {
    {"aimv2", "model.safetensors", "num_heads=2"},
    {"dinov2", "dinov2_vitb14_pretrain.pth", "num_heads=2"},
    {"dinov2_g_reg", "dinov2_vitb14_pretrain.pth", "num_heads=2"},
    {"dinov3", "dinov3_vitb16_pretrain_lvd1689m-73cec8be.pth", "num_heads=2"},
    {"evaclip_01g", "EVA_CLIP_01g.pt", "num_heads=2&post_norm=false"},
    {"evaclip_02E", "EVA_CLIP_02E.pt", "num_heads=2&post_norm=true"},
    {"evaclip_02L336", "EVA_CLIP_02L336.pt", "num_heads=2&post_norm=false&rope_ref=3"},
    {"evaclip_18b", "EVA_CLIP_18b.pt", "num_heads=2&post_norm=true"},
    {"ijepa", "IN1K-vit.h.14-300e.pth.tar", "num_heads=2"},
    {"mae", "mae_finetuned_vit_huge.pth", "num_heads=2"},
    {"openai_jit", "ViT-B-16.pt", "", {1, 5, 7, 98, 0, 0, 0, 0, 1, 98, 0, 0, 0, 0, 0, 0}},
    {"pe_core_G",
     "PE-Core-G14-448.pt",
     "num_heads=2&pool_heads=4&text.num_heads=2",
     {1, 5, 98, 0, 0, 0, 0, 0}},
    {"pe_core_L",
     "PE-Core-G14-448.pt",
     "num_heads=2&pool_heads=4&text.num_heads=2",
     {1, 5, 98, 0, 0, 0, 0, 0}}};

constexpr double kBound = 1e-5;  // of the largest value: rounding in another order

class Authors : public testing::TestWithParam<Author> {
 protected:
  std::filesystem::path place() const {
    const Author& author = GetParam();
    const bool is_given = *author.given != 0;
    return folder() / concat(author.file, is_given ? "?" : "", author.given);
  }
  std::filesystem::path folder() const {
    return test::source_path(concat("tests/oracle/authors/", GetParam().name));
  }
  SafetensorsFile expected() const { return SafetensorsFile(folder() / "expected.safetensors"); }
};

TEST_P(Authors, FilesGiveWhatTheirCodeGave) {
  const SafetensorsFile want = expected();
  for (const char* engine : {"fused", "reference"})
    for (const char* store : {"resident", "streamed"}) {
      const LoadedModel model =
          load_predictor(place(), {.engine = engine, .any_size = true, .store = store});
      const VitOutputs got = model.predictor->features(want.load("pixels"), {});
      const bool is_projected = model.info.config.embeds_images();
      int compared = 0;
      for (const auto& [name, tensor] :
           {std::pair("tokens", got.tokens_BTD), std::pair("logits", got.logits_BC),
            std::pair("pooled", is_projected ? got.logits_BC : got.pooled_BD)}) {
        if (!want.contains(name)) continue;
        EXPECT_LT(test::relative_difference(tensor, want.load(name)), kBound)
            << name << ", " << engine << ", " << store;
        ++compared;
      }
      EXPECT_GT(compared, 0);
    }
}

// A model axis of two: heads, hidden units and their norms are cut, sums come from both ranks.
TEST_P(Authors, TwoRanksOfAModelAxisGiveTheSame) {
  const SafetensorsFile want = expected();
  const CheckpointPath checkpoint = resolve_checkpoint(place());
  const ViTConfig config = read_model_info(checkpoint).config;
  const std::vector<ParameterRow> table = parameter_table(config);
  const bool is_cut = config.num_heads % 2 == 0;  // OpenAI's has one head
  run_as_threads(2, [&](const std::shared_ptr<Transport>& transport) {
    const Mesh mesh = make_mesh(transport, {.data = 1, .model = 2}, /*deadline_s=*/60);
    for (const char* engine : {"fused", "reference"}) {
      const auto predictor = [&] {
        FileSource source(checkpoint, table);
        return std::make_unique<VitPredictor>(
            config, std::make_shared<ShardedStore>(table, source, c10::Device(c10::kCPU), mesh),
            PredictorOptions{.engine = engine, .mesh = &mesh, .any_size = true});
      };
      if (!is_cut) {
        EXPECT_EQ(test::error_of<UsageError>(predictor),
                  "mesh.model=2 does not divide the model's 1 heads; use one of 1");
        continue;
      }
      const VitOutputs got = predictor()->features(want.load("pixels"), {});
      const at::Tensor pooled = config.embeds_images() ? got.logits_BC : got.pooled_BD;
      if (want.contains("pooled")) {
        EXPECT_LT(test::relative_difference(pooled, want.load("pooled")), kBound) << engine;
      } else {
        EXPECT_LT(test::relative_difference(got.tokens_BTD, want.load("tokens")), kBound) << engine;
      }
    }
  });
}

using AuthorsOfTexts = Authors;

TEST_P(AuthorsOfTexts, FilesGiveWhatTheirCodeGave) {
  const at::Tensor texts = expected().load("text"),
                   words = at::tensor(GetParam().words, at::kLong).view({texts.size(0), -1});
  for (const char* engine : {"fused", "reference"}) {
    const TextTower tower(place(), {.engine = engine}, Texts::kAsWords);
    EXPECT_LT(test::relative_difference(tower.embed_words(words).unit_NE, unit_length(texts)),
              kBound)
        << engine;
  }
}

std::vector<Author> with_texts() {
  std::vector<Author> found;
  for (const Author& author : kAuthors)
    if (!author.words.empty()) found.push_back(author);
  return found;
}

std::string name_of(const testing::TestParamInfo<Author>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(All, Authors, testing::ValuesIn(kAuthors), name_of);
INSTANTIATE_TEST_SUITE_P(All, AuthorsOfTexts, testing::ValuesIn(with_texts()), name_of);

}  // namespace
}  // namespace vit22b
