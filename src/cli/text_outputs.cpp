#include "cli/text_outputs.h"

#include "checkpoint/container/safetensors_file.h"
#include "checkpoint/container/safetensors_writer.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "data/delimited.h"
#include "kernels/shape.h"

namespace vit22b {

int64_t write_text_embeddings(const TextRequest& request, const PredictorOptions& options) {
  const bool is_words = request.texts.ends_with(".safetensors");
  const TextTower tower(request.checkpoint, options, is_words ? Texts::kAsWords : Texts::kAsWritten,
                        request.tokenizer);
  at::Tensor words_NT;
  if (is_words) {
    words_NT = SafetensorsFile(request.texts).load("words").to(at::kLong);
  } else {
    const std::vector<std::string> texts =
        lines_of(read_text_or_pipe(request.texts, ExitCode::kData));
    if (texts.empty()) throw DataError(request.texts, " has no line with text");
    words_NT = tower.words(texts);
  }
  const JointTexts joint = tower.embed_words(words_NT);
  FileOps ops;
  write_safetensors(ops, request.out,
                    {{"text_embedding", joint.unit_NE},
                     {"logit_scale", at::full({1}, joint.scale, at::kFloat)},
                     {"logit_bias", at::full({1}, joint.bias, at::kFloat)}},
                    {{"checkpoint", request.checkpoint}});
  log_info(concat("text_embedding ", shape_text(joint.unit_NE.sizes())));
  return joint.unit_NE.size(0);
}

}  // namespace vit22b
