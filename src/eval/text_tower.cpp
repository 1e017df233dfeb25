#include "eval/text_tower.h"

#include "checkpoint/two_towers.h"
#include "core/error.h"
#include "eval/finite.h"
#include "kernels/norm.h"
#include "store/file_source.h"
#include "store/resident.h"

namespace vit22b {

TextTower::TextTower(const std::filesystem::path& checkpoint, const PredictorOptions& options) {
  const std::filesystem::path folder = resolve_checkpoint(checkpoint).folder;
  const ModelInfo info = read_model_info(folder);
  if (!info.text)
    throw CheckpointError(folder.string(),
                          " has no text tower; train one beside its image tower: vit22b lit");
  config_ = info.text->config;
  templates_ = info.text->templates;
  tokenizer_ = make_tokenizer(read_tokenizer(folder, *info.text), info.text->tokenizer);
  if (tokenizer_->vocab_size() != config_.text.vocab_size)
    throw CheckpointError(folder.string(), ": the tokenizer has ", tokenizer_->vocab_size(),
                          " pieces, the text tower ", config_.text.vocab_size);
  const std::vector<ParameterRow> table = parameter_table(config_);
  FileSource source({folder, trained_file(info)}, table);
  predictor_ = std::make_unique<VitPredictor>(
      config_,
      std::make_shared<ResidentStore>(table, source, at::kFloat, torch_device(options.device)),
      options);
}

at::Tensor TextTower::embed(const std::vector<std::string>& texts) const {
  constexpr int64_t kTextsAtOnce = 256;
  std::vector<at::Tensor> rows, pieces;
  for (const std::string& text : texts)
    rows.push_back(tokenizer_->encode(text, config_.text.context_length));
  for (const at::Tensor& tokens : at::stack(rows).split(kTextsAtOnce))  // without the bias
    pieces.push_back(unit_length(predictor_->logits(tokens).slice(1, 0, -1).cpu()));
  at::Tensor embedded = at::cat(pieces);
  check_finite(embedded, "text embedding", texts);
  return embedded;
}

}  // namespace vit22b
