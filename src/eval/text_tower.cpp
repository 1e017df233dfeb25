#include "eval/text_tower.h"

#include "checkpoint/two_towers.h"
#include "core/error.h"
#include "store/file_source.h"
#include "store/resident.h"

namespace vit22b {

at::Tensor text_embeddings(Predictor& predictor, const at::Tensor& tokens_NT) {
  constexpr int64_t kTextsAtOnce = 256;
  std::vector<at::Tensor> pieces;
  for (const at::Tensor& tokens : tokens_NT.split(kTextsAtOnce)) {
    const at::Tensor scaled = predictor.logits(tokens).slice(1, 0, -1).cpu();
    pieces.push_back(scaled / scaled.norm(2, 1, /*keepdim=*/true).clamp_min(1e-12));
  }
  return at::cat(pieces);
}

TextTower::TextTower(const std::filesystem::path& checkpoint, const PredictorOptions& options) {
  const std::filesystem::path folder = resolve_checkpoint(checkpoint).folder;
  const ModelInfo info = read_model_info(folder);
  if (!info.text)
    throw CheckpointError(folder.string(),
                          " has no text tower; train one beside its image tower: vit22b lit");
  config_ = info.text->config;
  tokenizer_ = make_tokenizer(read_tokenizer(folder, *info.text), info.text->tokenizer);
  if (tokenizer_->vocab_size() != config_.vocab_size)
    throw CheckpointError(folder.string(), ": the tokenizer has ", tokenizer_->vocab_size(),
                          " pieces, the text tower ", config_.vocab_size);
  const std::vector<ParameterRow> table = parameter_table(config_);
  FileSource source(folder, table, trained_stem(info));
  predictor_ = std::make_unique<VitPredictor>(
      config_,
      std::make_shared<ResidentStore>(table, source, at::kFloat, torch_device(options.device)),
      options);
}

at::Tensor TextTower::embed(const std::vector<std::string>& texts) const {
  std::vector<at::Tensor> rows;
  for (const std::string& text : texts)
    rows.push_back(tokenizer_->encode(text, config_.context_length));
  return text_embeddings(*predictor_, at::stack(rows));
}

}  // namespace vit22b
