#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "checkpoint/container/safetensors_file.h"
#include "checkpoint/container/safetensors_writer.h"
#include "cli/checkpoint_flags.h"
#include "cli/command.h"
#include "cli/head_command.h"
#include "cli/image_input.h"
#include "cli/model_outputs.h"
#include "cli/split_choice.h"
#include "cli/text_outputs.h"
#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/signals.h"
#include "core/watch.h"
#include "eval/feature_shards.h"
#include "eval/finite.h"
#include "kernels/shape.h"
#include "model/flops.h"

namespace vit22b {
namespace {

struct FeatureFlags {
  CommonFlags common;
  CheckpointFlags checkpoint;  ///< or a preset
  std::string input;
  std::string texts, tokenizer;
  SplitFlags split;
  OutputNames names;
  ImageFlags images;  ///< its words are options too
  int64_t shard_images = 0;
  std::string weights;  ///< "generated" for a preset
};

/// Outputs of all images, in memory, for one file.
struct Collected {
  std::map<std::string, std::vector<at::Tensor>> pieces;
  SampleNames names;
  int64_t num_images = 0;

  void add(FeatureExtractor& extractor, const at::Tensor& images_BCHW,
           const std::vector<std::string>& ids) {
    if (stop_signal() != 0)
      throw Stopped("stopped; no features were written (an --out that ends in / goes on)");
    for (auto& [name, rows] : extractor.extract(images_BCHW)) {
      check_finite(rows, name, ids);
      pieces[name].push_back(rows);
    }
    num_images += images_BCHW.size(0);
  }
  TensorList tensors() const {
    TensorList list;
    list.reserve(pieces.size());
    for (const auto& [name, parts] : pieces) list.emplace_back(name, at::cat(parts));
    return list;
  }
};

void add_tensor_file(const FeatureFlags& flags, FeatureExtractor& extractor, Collected& all) {
  const at::Tensor images = SafetensorsFile(flags.input).load("images").to(at::kFloat);
  check_shape("features", "images", images, {{"B"}, {"C"}, {"H"}, {"W"}});
  for (const at::Tensor& batch : images.split(flags.images.loader.batch)) {
    std::vector<std::string> ids;
    for (int64_t i = 0; i < batch.size(0); ++i) ids.push_back(concat("image ", all.num_images + i));
    all.add(extractor, batch, ids);
  }
}

void add_source(const FeatureFlags& flags, const DataSource& source, ModelOutputs& extractor,
                Collected& all) {
  LoaderOptions options = one_pass(flags.images.loader, source);
  options.hashes_content = true;
  BatchLoader loader(source, extractor.transforms(), options);
  Progress progress("features", source.size(), flags.common.is_quiet);
  for (Batch batch; loader.next(batch);) {
    if (!batch.images_BCHW().defined()) continue;
    all.add(extractor, batch.images_BCHW(), batch.ids);
    if (!flags.split.data.empty()) all.pieces["labels"].push_back(batch.labels_B);
    all.names.add(batch);
    progress.update(all.num_images, extractor.transfers_text());
  }
  for (const BadSample& bad : loader.bad_samples()) log_warn(left_out_text(bad));
}

/// The names of the logits, where they are kept and have some, and of the data's labels.
std::map<std::string, std::string> names_of(const ModelOutputs& extractor,
                                            const DataSource* source) {
  std::map<std::string, std::string> metadata =
      texts_metadata("logit_names", extractor.logit_names());
  if (source != nullptr) metadata.merge(label_names_metadata(source->label_names()));
  return metadata;
}

/// Makes or completes a folder of shards; returns the images in it.
int64_t write_shards(const FeatureFlags& flags, const DataSource& source, ModelOutputs& extractor) {
  constexpr int64_t kShardBytes = int64_t{256} << 20, kMostImages = 4096;
  const int64_t fitting = std::clamp(kShardBytes / std::max<int64_t>(1, extractor.bytes_of_image()),
                                     int64_t{1}, kMostImages);
  Progress progress("features", source.size(), flags.common.is_quiet);
  FileOps ops;
  const auto shards = make_feature_shards(
      extractor, source,
      {.batch_size = flags.images.loader.batch,
       .num_workers = flags.images.loader.workers,
       .samples_per_shard = flags.shard_images > 0 ? flags.shard_images : fitting,
       .metadata = names_of(extractor, &source),
       .max_bad_fraction = flags.images.loader.max_bad_fraction,
       .max_pixels = flags.images.loader.max_pixels,
       .watch = {watch_signals().should_stop,
                 [&](int64_t done, int64_t) {
                   progress.update(done, extractor.transfers_text());
                 }}},
      flags.common.out, ops);
  int64_t num_images = 0;
  for (const auto& shard : shards) num_images += shard->entry("labels").shape.at(0);
  log_info(concat(shards.size(), " shards"));
  return num_images;
}

/// The words of the command line after the model's: `a.b=c` are options, all others images.
struct Words {
  std::vector<std::string> images, model;
  std::string store;
};

Words sorted_words(const std::vector<std::string>& words) {
  Words sorted;
  for (const std::string& word : words) {
    if (std::filesystem::exists(word) || word.find('=') == std::string::npos)
      sorted.images.push_back(word);
    else if (word.starts_with("store="))
      sorted.store = word.substr(word.find('=') + 1);
    else
      sorted.model.push_back(word);
  }
  return sorted;
}

LoadedModel open_model(const FeatureFlags& flags, const Words& words, const Device& device) {
  PredictorOptions options = predictor_options(flags.common, device);
  options.any_size = true;
  if (flags.weights.empty()) {
    if (!words.model.empty())
      throw UsageError("'", words.model.front(),
                       "': a checkpoint's model is what it is; options of the model go with a "
                       "preset and --weights generated");
    if (!words.store.empty()) options.store = words.store;
    return load_predictor(flags.checkpoint.path, options);
  }
  return fresh_predictor(preset_config(flags.checkpoint.path, words.model),
                         static_cast<uint64_t>(flags.common.seed), options,
                         words.store.empty() ? flags.weights : words.store);
}

/// What decides a model's outputs besides the images.
std::string identity_of(const FeatureFlags& flags, const LoadedModel& model, const Words& words) {
  const std::string weights =
      flags.weights.empty()
          ? model_fingerprint(model.checkpoint)
          : concat(flags.checkpoint.path, " ", join(words.model, " "), " seed ", flags.common.seed);
  return concat(weights, "\n", flags.common.precision, " ", flags.common.engine);
}

int64_t write_file(const FeatureFlags& flags, const DataSource* source, ModelOutputs& extractor) {
  Collected all;
  if (source == nullptr)
    add_tensor_file(flags, extractor, all);
  else
    add_source(flags, *source, extractor, all);
  if (source != nullptr && all.num_images == 0)
    throw DataError("none of ", source->size(), " images could be read; nothing is written");
  std::map<std::string, std::string> metadata = names_of(extractor, source);
  metadata["checkpoint"] = flags.checkpoint.path;
  if (source != nullptr) metadata.merge(all.names.metadata());
  FileOps ops;
  const TensorList tensors = all.tensors();
  write_safetensors(ops, flags.common.out, tensors, metadata);
  for (const auto& [name, tensor] : tensors)
    log_info(concat(name, " ", shape_text(tensor.sizes())));
  return all.num_images;
}

/// The split that the flags name, said.
std::unique_ptr<DataSource> open_split(const SplitFlags& flags) {
  const std::string split = chosen_split(flags.data, flags.split, flags.source);
  auto source = open_source(flags.data, split, flags.source);
  log_info(concat("split '", split, "' of ", flags.data, ": ", source->size(), " samples"));
  return source;
}

/// The images that the flags name; null for a file of tensors.
std::unique_ptr<DataSource> open_images(const FeatureFlags& flags, const Words& words) {
  const bool has_files = !words.images.empty() || !flags.images.list.empty();
  if (int{has_files} + int{!flags.input.empty()} + int{!flags.split.data.empty()} != 1)
    throw UsageError(
        "give image files (or --list F), or --input F.safetensors, or --data SRC: exactly one of "
        "them");
  if (!flags.split.data.empty()) return open_split(flags.split);
  return has_files ? open_image_files(words.images, flags.images.list) : nullptr;
}

constexpr int64_t kMostInMemory = int64_t{1} << 30;

/// Without --only all outputs are kept, the tokens unless they are too many for memory, as said.
OutputNames kept_names(const FeatureFlags& flags, const LoadedModel& model, int64_t num_images) {
  OutputNames names = flags.names;
  const int64_t of_tokens = output_bytes(model.info.config, {{}, {"tokens"}}) * num_images;
  if (!names.only.empty() || of_tokens <= kMostInMemory) return names;
  names.only = {"pooled", "logits"};
  log_warn(concat("the tokens of ", num_images, " images take ",
                  human_bytes(static_cast<double>(of_tokens)),
                  " and are left out; --only tokens,pooled,logits keeps them"));
  return names;
}

/// Whether --out is a folder of shards: one that is there or ends in /, and where a name says
/// neither file nor folder what is too much for memory.
bool is_folder_of_shards(const FeatureFlags& flags, int64_t bytes) {
  const std::filesystem::path out = flags.common.out;
  if (flags.common.out.ends_with("/") || std::filesystem::is_directory(out)) return true;
  if (bytes <= kMostInMemory) return false;
  const std::string size = human_bytes(static_cast<double>(bytes));
  if (out.has_extension() || std::filesystem::exists(out)) {
    log_warn(concat("one file of ", size, " is made in memory; --out ", out.string(),
                    "/ makes shards in bounded memory"));
    return false;
  }
  log_info(concat(size, ": ", out.string(), " becomes a folder of shards"));
  return true;
}

/// Options that mean nothing as the command is called.
void check_options(const CLI::App& command, const FeatureFlags& flags) {
  if (flags.split.data.empty())
    refuse_options(command, {"--split", "--split-folders"}, "goes with --data");
  if (flags.weights.empty())
    refuse_options(command, {"--seed"}, "goes with --weights generated; features draw nothing");
  if (flags.input.empty()) return;
  std::vector<std::string> of_pictures = pixel_flag_names();
  of_pictures.insert(of_pictures.end(), {"--workers", "--max-bad-fraction"});
  refuse_options(command, of_pictures, "--input holds tensors, which are taken as they are");
}

/// Texts instead of images.
void embed_texts(const CLI::App& command, const FeatureFlags& flags, const Device& device) {
  if (!flags.images.images.empty())
    throw UsageError("'", flags.images.images.front(), "': give images or --texts, not both");
  std::vector<std::string> of_pictures = pixel_flag_names();
  of_pictures.insert(of_pictures.end(),
                     {"--input", "--data", "--list", "--layers", "--only", "--labels", "--weights",
                      "--shard-images", "--workers", "--max-bad-fraction", "--batch", "--seed"});
  refuse_options(command, of_pictures, "--texts has no images");
  write_text_embeddings({flags.checkpoint.path, flags.texts, flags.tokenizer, flags.common.out},
                        predictor_options(flags.common, device));
  log_info("wrote " + flags.common.out);
}

void run_features(const CLI::App& command, const FeatureFlags& flags) {
  const Device device = begin_command(flags.common);
  const Words words = sorted_words(flags.images.images);
  if (flags.common.out.empty()) throw UsageError("give --out F.safetensors, or --out DIR/");
  if (!flags.texts.empty()) return embed_texts(command, flags, device);
  refuse_options(command, {"--tokenizer"}, "goes with --texts");
  check_options(command, flags);
  if (flags.weights.empty()) resolve_checkpoint(flags.checkpoint.path);
  const auto source = open_images(flags, words);
  LoadedModel model = open_model(flags, words, device);
  apply_checkpoint_flags(flags.checkpoint, model);
  const int64_t expected = source == nullptr ? 0 : source->size();
  ModelOutputs extractor(model, flags.checkpoint.path, identity_of(flags, model, words),
                         kept_names(flags, model, expected));
  const bool is_folder = is_folder_of_shards(flags, expected * extractor.bytes_of_image());
  if (is_folder && source == nullptr)
    throw UsageError("--input goes to one file; --out F.safetensors");
  if (!is_folder) refuse_options(command, {"--shard-images"}, "goes with a folder, --out DIR/");
  const auto start = std::chrono::steady_clock::now();
  const int64_t num_images = is_folder ? write_shards(flags, *source, extractor)
                                       : write_file(flags, source.get(), extractor);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto images = static_cast<double>(num_images);
  const double tera = images * forward_flops(model.info.config) / seconds / 1e12;
  log_info(concat(num_images, num_images == 1 ? " image in" : " images in",
                  formatted(" %.2f s", seconds), formatted(", %.3g TFLOP/s; peak memory ", tera)) +
           human_bytes(static_cast<double>(peak_memory_bytes(device))));
  if (const std::string text = model.predictor->transfers_text(); !text.empty())
    log_info("weights: " + text);
  log_info("wrote " + flags.common.out);
}

}  // namespace

void add_features(CLI::App& app) {
  auto flags = std::make_shared<FeatureFlags>();
  CLI::App* command = app.add_subcommand(
      "features", "tokens, pooled features, logits and block outputs to a safetensors file");
  add_checkpoint_flags(*command, flags->checkpoint, "checkpoint or run folder; or a preset");
  add_labels_flag(*command, flags->checkpoint.labels);
  add_image_flags(*command, flags->images,
                  "image files, folders of them or patterns, and options: store=streamed reads a "
                  "checkpoint's weights anew in every pass; a preset takes the model's, such as "
                  "depth=8");
  command
      ->add_option("--weights", flags->weights,
                   "\"generated\": a preset's first weights, made on the fly for --seed and not "
                   "kept (store=resident keeps them)")
      ->check(CLI::IsMember({"generated"}));
  command->add_option("--input", flags->input,
                      "safetensors file with `images` [B,C,H,W], already normalised");
  command->add_option("--texts", flags->texts,
                      "texts of a two-tower checkpoint, a line each (or safetensors with `words` "
                      "[N,T]): text_embedding, logit_scale and logit_bias");
  add_tokenizer_flag(*command, flags->tokenizer);
  command->add_option("--data", flags->split.data, source_help());
  add_split_flags(*command, flags->split);
  command
      ->add_option("--layers", flags->names.layers, "blocks whose raw output is kept, such as 0,5")
      ->delimiter(',')
      ->allow_extra_args(false);
  command
      ->add_option("--only", flags->names.only,
                   "keep only these of tokens, pooled, logits; all where absent, but tokens of "
                   "more than 1 GiB")
      ->delimiter(',')
      ->allow_extra_args(false);
  command
      ->add_option("--shard-images", flags->shard_images,
                   "images a shard where --out is a folder; 0 for as many as 256 MiB hold")
      ->check(CLI::Range(0, 10'000'000));
  add_common_flags(*command, flags->common, kDevice | kPrecision | kStore | kSeed | kOut,
                   "safetensors file to write; or a folder, which exists or ends in /: shards in "
                   "bounded memory, and the same command goes on after an interruption; a name "
                   "without an ending becomes one above 1 GiB");
  command->callback([command, flags] { run_features(*command, *flags); });
}

}  // namespace vit22b
