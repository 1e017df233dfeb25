#include "checkpoint/text_side.h"

#include "checkpoint/two_towers.h"
#include "core/error.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

// In the order of what says most.
constexpr const char* kTokenizers[] = {"tokenizer.json", "spiece.model", "tokenizer.model",
                                       "merges.txt", "bpe_simple_vocab_16e6.txt.gz"};

fs::path tokenizer_in(const fs::path& folder, const TokenizerOptions& words) {
  fs::path found;
  for (const char* name : kTokenizers) {
    const fs::path path = folder / name;
    const bool is_preferred = words.prefers_sentencepiece && path.extension() == ".model";
    if ((found.empty() || is_preferred) && fs::exists(path)) found = path;
    if (is_preferred && found == path) break;
  }
  return found;
}

}  // namespace

TextSide read_text_side(const CheckpointPath& checkpoint) {
  const ModelInfo image = read_model_info(checkpoint);
  if (image.text) {
    const TextInfo& own = *image.text;
    return {.place = {checkpoint.folder, trained_file(image)},
            .config = own.config,
            .words = {},
            .templates = own.templates,
            .tokenizer = checkpoint.folder / own.tokenizer,
            .own = own,
            .function = function_of(
                {.config = own.config, .pp_eval = "", .label_names = {}, .family = "vit22b"})};
  }
  if (image.family == "vit22b")
    throw CheckpointError(checkpoint.path().string(),
                          " has no text tower; train one beside its image tower: vit22b lit");
  TextSide side{.place = checkpoint, .config = {}, .words = {}};
  side.place.tower = kTextTower;
  const ModelInfo text = read_model_info(side.place);
  const int64_t image_width = image.config.embeds_images() ? image.config.text.joint_dim
                              : image.config.has_pool()    ? image.config.pooled_dim()
                                                           : 0;
  if (text.config.text.joint_dim != image_width)
    throw CheckpointError(checkpoint.path().string(), ": its texts' embedding is ",
                          text.config.text.joint_dim, " wide, its images' ", image_width);
  if (image.config.embeds_images()) side.image_feature = "image_embedding";
  side.config = text.config;
  side.words = text.words;
  side.function = function_of(text);
  side.tokenizer = tokenizer_in(checkpoint.folder, text.words);
  return side;
}

}  // namespace vit22b
