#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "checkpoint/safetensors.h"
#include "cli/command.h"
#include "cli/image_input.h"
#include "core/error.h"
#include "core/log.h"
#include "core/signals.h"
#include "data/loader.h"
#include "eval/load_predictor.h"
#include "kernels/shape.h"

namespace vit22b {
namespace {

struct FeatureFlags {
  CommonFlags common;
  std::string checkpoint, input, data, split = "test";
  std::vector<std::string> images;
  std::vector<int64_t> layers;
  std::vector<std::string> only;
  int64_t batch = 32;
  std::string weights;  ///< "generated" for a preset
};

/// Collects outputs batch by batch under their names in the file.
class FeatureSink {
 public:
  FeatureSink(std::set<int64_t> taps, std::vector<std::string> only)
      : taps_(std::move(taps)), only_(only.begin(), only.end()) {
    for (const std::string& name : only_)
      if (name != "tokens" && name != "pooled" && name != "logits")
        throw UsageError("--only ", name, ": want tokens, pooled or logits");
  }

  void add(Predictor& predictor, const at::Tensor& images_BCHW) {
    if (stop_signal() != 0) throw Stopped("stopped; no features were written");
    const VitOutputs out = predictor.features(images_BCHW, taps_);
    num_images_ += images_BCHW.size(0);
    keep("tokens", out.tokens_BTD);
    keep("pooled", out.pooled_BD);
    keep("logits", out.logits_BC);
    for (const auto& [block, output] : out.blocks)
      pieces_[concat("block.", block)].push_back(output.to(at::kFloat).cpu());
  }
  int64_t num_images() const { return num_images_; }
  void add_labels(const at::Tensor& labels_B) { pieces_["labels"].push_back(labels_B); }

  TensorList tensors() const {
    TensorList list;
    list.reserve(pieces_.size());
    for (const auto& [name, pieces] : pieces_) list.emplace_back(name, at::cat(pieces));
    return list;
  }

 private:
  void keep(const std::string& name, const at::Tensor& tensor) {
    if (tensor.defined() && (only_.empty() || only_.count(name) != 0))
      pieces_[name].push_back(tensor.to(at::kFloat).cpu());
  }
  std::set<int64_t> taps_;
  std::set<std::string> only_;
  int64_t num_images_ = 0;
  std::map<std::string, std::vector<at::Tensor>> pieces_;
};

void add_tensor_file(const FeatureFlags& flags, Predictor& predictor, FeatureSink& sink) {
  const at::Tensor images = SafetensorsFile(flags.input).load("images").to(at::kFloat);
  check_shape("features", "images", images, {{"B"}, {"C"}, {"H"}, {"W"}});
  for (const at::Tensor& batch : images.split(flags.batch)) sink.add(predictor, batch);
}

std::vector<std::string> add_source(const FeatureFlags& flags, const Transforms& transforms,
                                    Predictor& predictor, FeatureSink& sink) {
  const auto source = open_source(flags.data, flags.split);
  BatchLoader loader(*source, transforms,
                     {.batch_size = std::min(flags.batch, source->size()), .is_training = false});
  std::vector<std::string> ids;
  for (Batch batch; loader.next(batch);) {
    if (!batch.images_BCHW.defined()) continue;
    sink.add(predictor, batch.images_BCHW);
    sink.add_labels(batch.labels_B);
    ids.insert(ids.end(), batch.ids.begin(), batch.ids.end());
  }
  return ids;
}

// Images in batches, so that a model's weights need not be brought in again for each.
std::vector<std::string> add_images(const std::vector<std::string>& images,
                                    const FeatureFlags& flags, const LoadedModel& model,
                                    FeatureSink& sink) {
  const Transforms transforms(model.info.pp_eval);
  std::vector<std::string> paths = expand_image_paths(images);
  std::vector<at::Tensor> batch;
  const auto flush = [&] {
    if (!batch.empty()) sink.add(*model.predictor, at::stack(batch));
    batch.clear();
  };
  for (const std::string& path : paths) {
    const at::Tensor image = load_image(path, transforms);
    // A transform without a size leaves it to the model to refuse an image.
    const bool is_other = !batch.empty() && image.sizes() != batch.front().sizes();
    if (is_other || static_cast<int64_t>(batch.size()) == flags.batch) flush();
    batch.push_back(image);
  }
  flush();
  return paths;
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
  const PredictorOptions options{device, flags.common.precision, flags.common.engine};
  if (flags.weights.empty()) {
    if (!words.model.empty())
      throw UsageError("'", words.model.front(),
                       "': a checkpoint's model is what it is; options of the model go with a "
                       "preset and --weights generated");
    return load_predictor(flags.checkpoint, options,
                          words.store.empty() ? "resident" : words.store);
  }
  return fresh_predictor(preset_config(flags.checkpoint, words.model),
                         static_cast<uint64_t>(flags.common.seed), options,
                         words.store.empty() ? flags.weights : words.store);
}

void run_features(const FeatureFlags& flags) {
  const Device device = begin_command(flags.common);
  const Words words = sorted_words(flags.images);
  const int num_inputs =
      (words.images.empty() ? 0 : 1) + (flags.input.empty() ? 0 : 1) + (flags.data.empty() ? 0 : 1);
  if (num_inputs != 1)
    throw UsageError(
        "give image files, or --input F.safetensors, or --data SRC: exactly one of them");
  if (flags.common.out.empty()) throw UsageError("give --out F.safetensors");
  const LoadedModel model = open_model(flags, words, device);
  FeatureSink sink({flags.layers.begin(), flags.layers.end()}, flags.only);
  std::vector<std::string> paths;
  const auto start = std::chrono::steady_clock::now();
  if (!flags.input.empty()) add_tensor_file(flags, *model.predictor, sink);
  if (!flags.data.empty())
    paths = add_source(flags, Transforms(model.info.pp_eval), *model.predictor, sink);
  if (!words.images.empty()) paths = add_images(words.images, flags, model, sink);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::map<std::string, std::string> metadata = {{"checkpoint", flags.checkpoint}};
  if (!paths.empty()) metadata["paths"] = nlohmann::json(paths).dump();
  FileOps ops;
  const TensorList tensors = sink.tensors();
  write_safetensors(ops, flags.common.out, tensors, metadata);
  for (const auto& [name, tensor] : tensors)
    log_info(concat(name, " ", shape_text(tensor.sizes())));
  const auto num_images = static_cast<double>(sink.num_images());
  char rate[128];
  std::snprintf(rate, sizeof rate, "%.0f images in %.2f s, %.3g TFLOP/s; peak memory ", num_images,
                seconds, num_images * forward_flops(model.info.config) / seconds / 1e12);
  log_info(rate + human_bytes(static_cast<double>(peak_memory_bytes(device))));
  if (const std::string text = model.predictor->transfers_text(); !text.empty())
    log_info("weights: " + text);
  log_info("wrote " + flags.common.out);
}

}  // namespace

void add_features(CLI::App& app) {
  auto flags = std::make_shared<FeatureFlags>();
  CLI::App* command = app.add_subcommand(
      "features", "tokens, pooled features, logits and block outputs to a safetensors file");
  command->add_option("checkpoint", flags->checkpoint, "checkpoint or run folder; or a preset")
      ->required();
  command->add_option(
      "images", flags->images,
      "image files or folders of them, and options: store=streamed reads a "
      "checkpoint's weights anew in every pass; a preset takes the model's, such as "
      "depth=8");
  command
      ->add_option("--weights", flags->weights,
                   "\"generated\": a preset's first weights, made on the fly for --seed and not "
                   "kept (store=resident keeps them)")
      ->check(CLI::IsMember({"generated"}));
  command->add_option("--input", flags->input,
                      "safetensors file with `images` [B,C,H,W], already normalised");
  command->add_option("--data", flags->data, "data source (idx:DIR, folder:DIR)");
  command->add_option("--split", flags->split, "split of --data")->capture_default_str();
  command->add_option("--layers", flags->layers, "blocks whose raw output is kept, such as 0,5")
      ->delimiter(',')
      ->allow_extra_args(false);
  command->add_option("--only", flags->only, "keep only these of tokens, pooled, logits")
      ->delimiter(',')
      ->allow_extra_args(false);
  command->add_option("--batch", flags->batch, "images a batch")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  add_common_flags(*command, flags->common, kDevice | kPrecision | kSeed | kOut,
                   "safetensors file to write");
  command->callback([flags] { run_features(*flags); });
}

}  // namespace vit22b
