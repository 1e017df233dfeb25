#include "cli/text_outputs.h"

#include <cmath>

#include "checkpoint/container/safetensors_file.h"
#include "checkpoint/container/safetensors_writer.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/text.h"
#include "data/delimited.h"
#include "eval/finite.h"
#include "kernels/shape.h"

namespace vit22b {

namespace {

namespace fs = std::filesystem;

/// A file's lines as they are, of which each is a text, an empty one too.
std::vector<std::string> texts_of(const std::string& path) {
  const std::string content = read_text_or_pipe(path, ExitCode::kData);
  for (const char* mark : {"\xFF\xFE", "\xFE\xFF"})
    if (content.starts_with(mark)) throw DataError(path, " is UTF-16; want UTF-8");
  std::vector<std::string> lines = split(without_byte_order_mark(content), '\n');
  if (lines.back().empty()) lines.pop_back();
  for (std::string& line : lines)
    if (line.ends_with('\r')) line.pop_back();
  if (lines.empty()) throw DataError(path, " has no line");
  return lines;
}

void check_other_file(const TextRequest& request) {
  std::error_code error;
  if (fs::equivalent(request.texts, request.out, error))
    throw UsageError("--out ", request.out, " is the file of the texts; give another");
}

std::vector<std::string> numbered(int64_t count) {
  std::vector<std::string> ids;
  for (int64_t i = 1; i <= count; ++i) ids.push_back(concat("text ", i));
  return ids;
}

}  // namespace

int64_t write_text_embeddings(const TextRequest& request, const PredictorOptions& options) {
  check_other_file(request);
  const bool is_words = request.texts.ends_with(".safetensors");
  const TextTower tower(request.checkpoint, options, is_words ? Texts::kAsWords : Texts::kAsWritten,
                        request.tokenizer);
  const at::Tensor words_NT = is_words ? SafetensorsFile(request.texts).load("words")
                                       : tower.words(texts_of(request.texts));
  const JointTexts joint = tower.embed_words(words_NT);
  const int64_t count = joint.unit_NE.size(0);
  check_finite(joint.unit_NE, "text_embedding", numbered(count));
  if (!std::isfinite(joint.scale) || !std::isfinite(joint.bias))
    throw NumbersError(request.checkpoint, ": logit_scale and logit_bias are ", joint.scale,
                       " and ", joint.bias);
  FileOps ops;
  write_safetensors(ops, request.out,
                    {{"text_embedding", joint.unit_NE},
                     {"logit_scale", at::full({1}, joint.scale, at::kFloat)},
                     {"logit_bias", at::full({1}, joint.bias, at::kFloat)}},
                    {{"checkpoint", request.checkpoint}});
  log_info(concat("text_embedding ", shape_text(joint.unit_NE.sizes())));
  return count;
}

}  // namespace vit22b
