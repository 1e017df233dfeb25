#include "train/tasks/lit_parts.h"

#include <optional>

#include "checkpoint/tensor_reader.h"
#include "checkpoint/weights.h"
#include "core/checksum.h"
#include "core/error.h"
#include "core/log.h"
#include "data/derived_sources.h"
#include "eval/feature_source.h"
#include "model/initialise.h"
#include "train/features_once.h"
#include "train/transform_setup.h"

namespace vit22b {
namespace {

constexpr std::string_view kTrain = "train:";

std::vector<std::string> all_captions(const DataSource& source) {
  std::vector<std::string> texts;
  for (int64_t i = 0; i < source.size(); ++i)
    for (std::string& caption : source.captions(i)) texts.push_back(std::move(caption));
  return texts;
}

CheckpointPath resolved_image_tower(const LitConfig& lit) {
  CheckpointPath tower = resolve_checkpoint(lit.image_tower);
  tower.folder = std::filesystem::canonical(tower.folder);
  return tower;
}

std::filesystem::path trained_tokenizer(const std::filesystem::path& run) {
  return run / "tokenizer.model";
}

// A locked tower's files become the two-tower folder's own, which are read by our names.
void check_linkable(const CheckpointPath& tower, const ModelInfo& info) {
  if (info.base)
    throw CheckpointError(
        tower.path().string(), " stands beside other weights, and a locked image ",
        "tower's files are kept as they are; write it as one checkpoint by ", "`vit22b convert`");
  const TensorContainer files = open_weights(tower);
  for (const ParameterRow& row : parameter_table(info.config))
    if (!files.contains(row.name))
      throw CheckpointError(tower.path().string(), ": its tensors have the names of ", info.family,
                            ", and a locked image tower's files are kept as they are; unlock it "
                            "(lit.unlock=1 trains its last block)");
}

bool is_to_train(const LitConfig& lit) {
  return lit.tokenizer.starts_with(kTrain);
}

}  // namespace

ModelInfo LitParts::info(const ViTConfig& text) const {
  ModelInfo two = image;
  const std::string& bytes = tokenizer->file_bytes();
  two.text = TextInfo{text, tokenizer->file_name(), hash_of_text(bytes), templates};
  return two;
}

void keep_captioned(const TrainConfig& config, TrainData& data) {
  for (std::shared_ptr<const DataSource>* source : {&data.train, &data.val})
    if (*source != nullptr) *source = with_captions(*source, config.data.root);
}

// "train:4000" is to be of so many pieces; another is a file.
int64_t num_pieces(const LitConfig& lit) {
  if (!is_to_train(lit)) return open_tokenizer(lit.tokenizer)->vocab_size();
  const auto number = leading_number(lit.tokenizer.substr(kTrain.size()));
  return number ? static_cast<int64_t>(number->first) : 0;
}

void train_tokenizer(const LitConfig& lit, const DataSource& train,
                     const std::filesystem::path& run, FileOps& ops) {
  if (!is_to_train(lit)) return;
  const auto size = leading_number(lit.tokenizer.substr(kTrain.size()));
  if (!size || !size->second.empty() || size->first < 1)
    throw UsageError("lit.tokenizer is '", lit.tokenizer,
                     "', want a file, or train:N for N pieces learnt from the captions");
  write_text(ops, trained_tokenizer(run),
             train_sentencepiece(all_captions(train), static_cast<int64_t>(size->first)));
}

namespace {

std::unique_ptr<Tokenizer> tokenizer_of(const LitConfig& lit, const std::filesystem::path& run,
                                        const std::filesystem::path& from) {
  if (from.empty())
    return open_tokenizer(is_to_train(lit) ? trained_tokenizer(run)
                                           : std::filesystem::path(lit.tokenizer));
  const ModelInfo saved = read_model_info(from);
  if (!saved.text)
    throw CheckpointError(from.string(),
                          " has no text tower, so task=lit cannot go on from it; give a checkpoint "
                          "of a LiT run");
  return make_tokenizer(read_tokenizer(from, *saved.text), saved.text->tokenizer);
}

}  // namespace

LitParts open_lit(const LitConfig& lit, TrainConfig& config, const std::filesystem::path& run,
                  const std::filesystem::path& from) {
  LitParts parts;
  parts.image_tower = resolved_image_tower(lit);
  parts.image = read_model_info(parts.image_tower);
  parts.is_unlocked = lit.is_unlocked();
  if (!parts.is_unlocked) check_linkable(parts.image_tower, parts.image);
  parts.templates = lit.templates;
  if (parts.is_unlocked) {
    parts.image.config.adapters = {};  // they are in its weights then
    parts.image.base.reset();
    verify_manifest(parts.image_tower.folder, ManifestScope::kModel);
    // The classifier stays behind: what it reads changes.
    parts.image.config.num_classes = parts.image.config.text.joint_dim = 0;
    parts.image.config.plex.head = "linear";
    parts.image.label_names.clear();
  }
  parts.tokenizer = tokenizer_of(lit, run, from);
  ViTConfig& text = config.model;
  text.text.vocab_size = parts.tokenizer->vocab_size();
  text.text.joint_dim = parts.image.config.pooled_dim();
  text.validate();
  const std::string tokenize = concat("tokenize(", text.text.context_length, ")");
  const std::string images = parts.image.pp_eval + "|";
  const bool is_live = lit.is_live();
  if (!is_live) config.data.pp_train = tokenize;
  if (config.data.pp_train.empty()) config.data.pp_train = images + tokenize;
  if (config.data.pp_train.find("tokenize(") == std::string::npos)
    config.data.pp_train += "|" + tokenize;
  config.data.pp_eval = is_live ? images + tokenize : tokenize;
  if (is_live) warn_of_other_range(config.data, lit.image_tower, parts.image.pp_eval);
  log_info(concat("image tower ", parts.image_tower.path().string(), " (", parts.image.config.name,
                  ", unlocked: ", lit.unlock, "); tokenizer of ", text.text.vocab_size, " pieces"));
  return parts;
}

std::unique_ptr<WeightSource> first_weights(const LitParts& parts, uint64_t seed) {
  // The whole tower, with the head that the training leaves out; its hashes have been checked.
  const auto image = std::make_shared<std::optional<TensorReader>>();
  return std::make_unique<FunctionSource>([image, seed,
                                           tower = parts.image_tower](const ParameterRow& row) {
    if (row.unit.tower != Tower::kImage) return initial_tensor(row, seed);
    if (!*image)
      image->emplace(tower, parameter_table(read_model_info(tower).config), TensorHashes::kChecked);
    return (*image)->whole(alone_in_its_tower(row));
  });
}

void embed_images_once(const LitConfig& lit, const TrainConfig& config, const Device& device,
                       const Mesh& mesh, TrainData& data) {
  if (lit.is_live()) return;
  const OnlookingModel tower{resolved_image_tower(lit).path(), "pooled",
                             cache_places(lit.image_tower, lit.cache)};
  for (std::shared_ptr<const DataSource>* source : {&data.train, &data.val})
    if (*source != nullptr)
      *source = make_feature_source(*source, features_once(config, tower, **source, device, mesh),
                                    tower.feature);
}

}  // namespace vit22b
