#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "checkpoint/safetensors.h"
#include "cli/command.h"
#include "cli/image_input.h"
#include "core/error.h"
#include "core/log.h"
#include "core/signals.h"
#include "data/loader.h"
#include "eval/vit_predictor.h"
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
    keep("tokens", out.tokens_BTD);
    keep("pooled", out.pooled_BD);
    keep("logits", out.logits_BC);
    for (const auto& [block, output] : out.blocks)
      pieces_[concat("block.", block)].push_back(output.to(at::kFloat).cpu());
  }
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

void run_features(const FeatureFlags& flags) {
  const Device device = begin_command(flags.common);
  const int num_inputs =
      (flags.images.empty() ? 0 : 1) + (flags.input.empty() ? 0 : 1) + (flags.data.empty() ? 0 : 1);
  if (num_inputs != 1)
    throw UsageError(
        "give image files, or --input F.safetensors, or --data SRC: exactly one of them");
  if (flags.common.out.empty()) throw UsageError("give --out F.safetensors");
  const LoadedModel model =
      load_predictor(flags.checkpoint, {device, flags.common.precision, flags.common.engine});
  const Transforms transforms(model.info.pp_eval);
  FeatureSink sink({flags.layers.begin(), flags.layers.end()}, flags.only);
  std::vector<std::string> paths;
  if (!flags.input.empty()) add_tensor_file(flags, *model.predictor, sink);
  if (!flags.data.empty()) paths = add_source(flags, transforms, *model.predictor, sink);
  if (!flags.images.empty()) {
    paths = expand_image_paths(flags.images);
    for (const std::string& path : paths)
      sink.add(*model.predictor, load_image(path, transforms).unsqueeze(0));
  }
  std::map<std::string, std::string> metadata = {{"checkpoint", flags.checkpoint}};
  if (!paths.empty()) metadata["paths"] = nlohmann::json(paths).dump();
  FileOps ops;
  const TensorList tensors = sink.tensors();
  write_safetensors(ops, flags.common.out, tensors, metadata);
  for (const auto& [name, tensor] : tensors)
    log_info(concat(name, " ", shape_text(tensor.sizes())));
  log_info("wrote " + flags.common.out);
}

}  // namespace

void add_features(CLI::App& app) {
  auto flags = std::make_shared<FeatureFlags>();
  CLI::App* command = app.add_subcommand(
      "features", "tokens, pooled features, logits and block outputs to a safetensors file");
  command->add_option("checkpoint", flags->checkpoint, "checkpoint or run folder")->required();
  command->add_option("images", flags->images, "image files or folders of them");
  command->add_option("--input", flags->input,
                      "safetensors file with `images` [B,C,H,W], already normalised");
  command->add_option("--data", flags->data, "data source (idx:DIR, folder:DIR)");
  command->add_option("--split", flags->split, "split of --data")->capture_default_str();
  command->add_option("--layers", flags->layers, "blocks whose raw output is kept, such as 0,5")
      ->delimiter(',');
  command->add_option("--only", flags->only, "keep only these of tokens, pooled, logits")
      ->delimiter(',');
  command->add_option("--batch", flags->batch, "images a batch")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  add_common_flags(*command, flags->common, kDevice | kPrecision | kOut,
                   "safetensors file to write");
  command->callback([flags] { run_features(*flags); });
}

}  // namespace vit22b
