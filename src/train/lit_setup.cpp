#include "train/lit_setup.h"

#include "core/checksum.h"
#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/signals.h"
#include "transfer/feature_source.h"

namespace vit22b {
namespace {

constexpr std::string_view kTrain = "train:";

std::vector<std::string> all_captions(const DataSource& source) {
  std::vector<std::string> texts;
  for (int64_t i = 0; i < source.size(); ++i)
    for (std::string& caption : source.captions(i)) texts.push_back(std::move(caption));
  return texts;
}

std::shared_ptr<const Tokenizer> find_tokenizer(const TrainConfig& config, const DataSource& train,
                                                const std::filesystem::path& run) {
  if (!config.lit.tokenizer.starts_with(kTrain)) return open_tokenizer(config.lit.tokenizer);
  const std::filesystem::path kept = run / "tokenizer.model";
  if (std::filesystem::exists(kept)) return open_tokenizer(kept);
  const auto size = leading_number(config.lit.tokenizer.substr(kTrain.size()));
  if (!size || !size->second.empty() || size->first < 1)
    throw UsageError("lit.tokenizer is '", config.lit.tokenizer,
                     "', want a file, or train:N for N pieces learnt from the captions");
  const std::string model =
      train_sentencepiece(all_captions(train), static_cast<int64_t>(size->first));
  FileOps ops;
  ops.make_folder(run);
  write_text(ops, kept, model);
  return open_tokenizer(kept);
}

std::shared_ptr<const DataSource> embedded(const TrainConfig& config, FeatureExtractor& extractor,
                                           const std::filesystem::path& root,
                                           std::shared_ptr<const DataSource> source,
                                           bool is_quiet) {
  if (source == nullptr) return nullptr;
  Progress progress("image features", source->size(), is_quiet);
  FileOps ops;
  FeatureTable table = cached_features(extractor, *source,
                                       {.root = root,
                                        .num_workers = config.data.workers,
                                        .max_bad_fraction = config.data.max_bad_fraction,
                                        .should_stop = [] { return stop_signal() != 0; },
                                        .on_progress = [&](int64_t n) { progress.update(n); }},
                                       ops);
  return make_feature_source(std::move(source), std::move(table), "pooled");
}

}  // namespace

ModelInfo LitParts::info(const ViTConfig& text) const {
  ModelInfo two = image;
  const std::string& bytes = tokenizer->file_bytes();
  two.text = TextInfo{text, tokenizer->file_name(), xxh3_128(std::as_bytes(std::span(bytes)))};
  return two;
}

LitParts open_lit(TrainConfig& config, const DataSource& train, const std::filesystem::path& run) {
  LitParts parts;
  parts.image_folder =
      std::filesystem::canonical(resolve_checkpoint(config.lit.image_tower).folder);
  parts.image = read_model_info(parts.image_folder);
  if (train.captions(0).empty())
    throw DataError(config.data.root,
                    " has no captions; want a manifest with the columns filepath and caption");
  parts.tokenizer = find_tokenizer(config, train, run);
  ViTConfig& text = config.model;
  text.vocab_size = parts.tokenizer->vocab_size();
  text.joint_dim = parts.image.config.embed_dim;
  text.validate();
  const std::string tokenize = concat("tokenize(", text.context_length, ")");
  const std::string images = parts.image.pp_eval + "|";
  const bool is_live = config.lit.images == "live";
  if (!is_live) config.data.pp_train = tokenize;
  if (config.data.pp_train.empty()) config.data.pp_train = images + tokenize;
  if (config.data.pp_train.find("tokenize(") == std::string::npos)
    config.data.pp_train += "|" + tokenize;
  config.data.pp_eval = is_live ? images + tokenize : tokenize;
  log_info(concat("image tower ", parts.image_folder.string(), " (", parts.image.config.name,
                  ", locked); tokenizer of ", text.vocab_size, " pieces"));
  return parts;
}

void embed_images_once(const TrainConfig& config, const LitParts& parts, const Device& device,
                       bool is_quiet, TrainData& data) {
  if (config.lit.images == "live") return;
  const auto extractor = make_model_extractor(
      parts.image_folder, {device, config.precision, config.engine}, {"pooled"});
  const std::filesystem::path root = config.lit.cache.empty()
                                         ? parts.image_folder / "cache"
                                         : std::filesystem::path(config.lit.cache);
  data.train = embedded(config, *extractor, root, data.train, is_quiet);
  data.val = embedded(config, *extractor, root, data.val, is_quiet);
}

}  // namespace vit22b
