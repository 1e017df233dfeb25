#include "eval/text_tower.h"

#include "checkpoint/text_side.h"
#include "checkpoint/two_towers.h"
#include "core/error.h"
#include "core/log.h"
#include "eval/finite.h"
#include "kernels/norm.h"
#include "kernels/shape.h"
#include "store/file_source.h"
#include "store/resident.h"

namespace vit22b {
namespace {

constexpr int64_t kTextsAtOnce = 256;

std::unique_ptr<Tokenizer> own_tokenizer(const TextSide& side) {
  auto tokenizer =
      make_tokenizer(read_tokenizer(side.place.folder, *side.own), side.own->tokenizer);
  if (tokenizer->vocab_size() != side.config.text.vocab_size)
    throw CheckpointError(side.place.folder.string(), ": the tokenizer has ",
                          tokenizer->vocab_size(), " pieces, the text tower ",
                          side.config.text.vocab_size);
  return tokenizer;
}

std::unique_ptr<Tokenizer> tokenizer_of(const TextSide& side, const std::filesystem::path& given) {
  if (side.own) {
    if (!given.empty())
      throw UsageError("--tokenizer: ", side.place.folder.string(), " has its own, ",
                       side.own->tokenizer, "; leave it away");
    return own_tokenizer(side);
  }
  const std::filesystem::path path = given.empty() ? side.tokenizer : given;
  if (path.empty())
    throw CheckpointError(side.place.folder.string(),
                          " holds no tokenizer (tokenizer.json, spiece.model, merges.txt); give it "
                          "with --tokenizer FILE, for CLIP's files bpe_simple_vocab_16e6.txt.gz");
  auto tokenizer = open_tokenizer(path, side.words);
  const TextConfig& text = side.config.text;
  if (tokenizer->vocab_size() > text.vocab_size)
    throw CheckpointError(path.string(), " has ", tokenizer->vocab_size(),
                          " pieces, the text tower of ", side.place.path().string(), " only ",
                          text.vocab_size, "; it is another model's");
  // A causal tower is read before the padding.
  if (!text.causal && !tokenizer->has_padding())
    throw CheckpointError(path.string(),
                          ": nothing says how shorter texts are padded; want pad_token in a "
                          "tokenizer_config.json beside it, or padding in tokenizer.json");
  log_info(concat("texts: tokenizer ", path.string(), " of ", tokenizer->vocab_size(), " pieces"));
  return tokenizer;
}

void tell_text_function(const TextSide& side) {
  std::vector<std::string> said;
  for (const auto& [field, value, from] : side.function)
    if (from.find("tensors") == std::string::npos)
      said.push_back(concat(field, " ", value, " (", from, ")"));
  if (!said.empty()) log_info("text tower: " + join(said, "; "));
}

}  // namespace

TextTower::TextTower(const std::filesystem::path& checkpoint, const PredictorOptions& options,
                     Texts texts, const std::filesystem::path& tokenizer) {
  const CheckpointPath place = resolve_checkpoint(checkpoint);
  const TextSide side = read_text_side(place);
  config_ = side.config;
  place_ = place.path().string();
  templates_ = side.templates;
  image_feature_ = side.image_feature;
  tell_text_function(side);
  if (texts == Texts::kAsWritten)
    tokenizer_ = tokenizer_of(side, tokenizer);
  else if (!tokenizer.empty())
    throw UsageError("--tokenizer: rows of words need none; leave it away");
  const std::vector<ParameterRow> table = parameter_table(config_);
  FileSource source(side.place, table);
  predictor_ = std::make_unique<VitPredictor>(
      config_,
      std::make_shared<ResidentStore>(table, source, at::kFloat, torch_device(options.device)),
      options);
}

at::Tensor TextTower::words(const std::vector<std::string>& texts) const {
  VIT22B_CHECK(tokenizer_ != nullptr && !texts.empty(), "TextTower: no texts");
  std::vector<at::Tensor> rows;
  rows.reserve(texts.size());
  for (const std::string& text : texts)
    rows.push_back(tokenizer_->encode(text, config_.text.context_length));
  const at::Tensor words_NT = at::stack(rows);
  check_ends(words_NT);
  return words_NT;
}

// A tower is read at the word that ends a text: a tokenizer that makes none is another model's.
void TextTower::check_ends(const at::Tensor& words_NT) const {
  const TextConfig& text = config_.text;
  const at::Tensor largest_N = words_NT.amax(1);
  const bool is_ended = text.text_pool == "eos" ? words_NT.eq(text.eos_id).any(1).all().item<bool>()
                        : text.text_pool == "argmax" ? largest_N.eq(largest_N[0]).all().item<bool>()
                                                     : true;
  if (!is_ended)
    throw CheckpointError(
        place_, ": its texts are read at the word that ends them (",
        text.text_pool == "eos" ? concat("number ", text.eos_id) : std::string("the largest"),
        "), which the tokenizer does not make; it is another model's");
}

at::Tensor TextTower::embed(const std::vector<std::string>& texts) const {
  at::Tensor embedded = embed_words(words(texts)).unit_NE;
  check_finite(embedded, "text embedding", texts);
  return embedded;
}

JointTexts TextTower::embed_words(const at::Tensor& words_NT) const {
  if (!at::isIntegralType(words_NT.scalar_type(), /*includeBool=*/false))
    throw DataError("words are ", at::toString(words_NT.scalar_type()), ", want whole numbers");
  if (words_NT.dim() != 2 || words_NT.numel() == 0 ||
      words_NT.size(1) > config_.text.context_length)
    throw DataError("words are ", shape_text(words_NT.sizes()), ", want [N, T] of at most ",
                    config_.text.context_length, " words, at least one row");
  const auto least = words_NT.min().item<int64_t>(), most = words_NT.max().item<int64_t>();
  if (least < 0 || most >= config_.text.vocab_size)
    throw DataError("words are ", least, " to ", most, ", the vocabulary has 0 to ",
                    config_.text.vocab_size - 1);
  std::vector<at::Tensor> pieces;
  for (const at::Tensor& words : words_NT.split(kTextsAtOnce))
    pieces.push_back(predictor_->logits(words.to(at::kLong)).cpu());
  const at::Tensor scaled_NE = at::cat(pieces).slice(1, 0, -1);
  return {unit_length(scaled_NE), scaled_NE[0].norm().item<double>(),
          pieces.front()[0][-1].item<double>()};
}

}  // namespace vit22b
