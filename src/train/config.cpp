#include "train/config.h"

#include "checkpoint/model_info.h"
#include "core/error.h"
#include "data/preprocessing.h"
#include "data/source.h"
#include "eval/vit_predictor.h"
#include "measure/registry.h"

namespace vit22b {

void DataConfig::fields(FieldVisitor& v) {
  v.choice("source", source, source_choices(), "kind of data source");
  v.field("root", root, "folder of the data, or the manifest");
  v.field("label_names", label_names, "names of the classes; the source's own where empty");
  v.field("batch_size", batch_size, "images a step, over all ranks, before `accumulate` cuts them");
  v.field("pp_train", pp_train, "transform of training images");
  v.field("pp_eval", pp_eval, "transform of evaluation images; the model's default where empty");
  v.field("workers", workers, "loader threads; 0 for half the cores, at most 8");
  v.field("max_bad_fraction", max_bad_fraction,
          "share of samples that may be unusable before the run stops");
  v.field("max_pixels", max_pixels, "of a picture; larger ones are unusable");
  v.field("mixup", mixup, "alpha of mixup, 0 to 1; 0 for none, 1 for uniform shares");
  v.field("any_size", any_size,
          "images may have another size than model.img_size; positions are resampled");
  v.choice("split_folders", split_folders, "auto|yes|no",
           "whether the folders of root are splits or classes; auto: splits when called so");
  v.field("allow_empty", allow_empty, "class folders without an image are classes all the same");
  v.field("train_split", train_split, "split to train on");
  v.field("val", val,
          "validation images: a split's name, or a part of the training split such as 5% (held "
          "out), or \"\"");
  v.field("class_map", class_map,
          "file that says which classes those of the split val are: a name a line in the training "
          "split's order, or a name and a number; by name where empty");
}

void MeshConfig::fields(FieldVisitor& v) {
  v.field("data", data, "ranks that split the batch; 0 for what mesh.model leaves");
  v.field("model", model, "ranks that split each layer; a divisor of the heads");
  v.field("deadline_s", deadline_s, "seconds after which a silent rank is lost");
  v.field("prefetch", prefetch, "store=sharded: units gathered ahead of the one in use");
  v.choice("ring", ring, "one-way|two-way", "how the model axis passes parts on");
  v.choice("transfers", transfers, "async|blocking", "beside the products, or before them");
}

void TrainConfig::fields(FieldVisitor& v) {
  v.field("total", total, "length of training");
  v.field("warmup", warmup, "linear warm-up from 0");
  v.field("cooldown", cooldown, "linear cool-down to 0 at the end");
  v.field("log", log, "cadence of metrics.jsonl and progress lines");
  v.field("eval", eval, "cadence of validation");
  v.field("ckpt", ckpt, "cadence of checkpoints");
  v.field("keep_ckpt", keep_ckpt, "cadence of checkpoints that are never pruned");
  v.field("keep_last", keep_last, "newest checkpoints to keep");
  v.field("seed", seed, "seed of weights, order and augmentation");
  v.choice("precision", precision, kPrecisions,
           "of activations and products; bf16_fp32 keeps the residual stream in fp32");
  v.choice("engine", engine, "fused|reference", "how blocks are computed");
  v.field("threads", threads, "CPU threads; 0 for libtorch's choice");
  v.field("device", device, "cpu or cuda:N");
  v.choice("activation", activation, "keep|recompute",
           "keep a block's activations, or its input alone");
  v.choice("block_inputs", block_inputs, "device|host|file",
           "activation=recompute: where blocks' inputs wait for the backward pass; file is a "
           "nameless one in RUN");
  v.field("accumulate", accumulate, "pieces that a batch is cut into");
  v.choice("task", task, tasks.names().c_str(), "what is trained");
  v.field("init_from", init_from, "checkpoint whose weights the run starts from");
  v.field("init_skip", init_skip, "name patterns that keep fresh values");
  v.field("init_allow", init_allow,
          "what may differ from init_from, as patterns of fields (act_layer) or parameters");
  v.field("freeze", freeze, "name patterns that do not train");
  v.field("tune", tune, "name patterns that train, with the head and adapters, and no others");
  v.choice("loss", loss, "sigmoid|softmax", "training loss");
  v.choice("store", store, "resident|sharded|streamed",
           "where weights live: whole on each rank, cut over the data axis, or, but for what "
           "trains, in the files of init_from, read anew in every pass");
  v.choice(
      "state", state, "memory|host|file",
      "where weights and optimizer state live: in the device's memory, in the host's, of which "
      "a GPU is sent unit after unit, or in a mapped scratch file");
  v.field("state_path", state_path, "state=file: the scratch file; RUN/state.bin where empty");
  v.choice("update", update, "deferred|now",
           "weights are updated at a step's end, or unit by unit inside its backward pass");
  v.choice("weights", weights, "fp32|bf16",
           "how matrices of blocks and pool are stored between updates");
  v.begin_section("model");
  model.fields(v);
  v.end_section();
  v.begin_section("lora");
  model.adapters.fields(v);
  v.end_section();
  v.begin_section("data");
  data.fields(v);
  v.end_section();
  v.begin_section("optim");
  optim.fields(v);
  v.end_section();
  v.begin_section("schedule");
  schedule.fields(v);
  v.end_section();
  v.begin_section("mesh");
  mesh.fields(v);
  v.end_section();
  v.begin_section("eval");
  evaluation.fields(v);
  v.end_section();
  for (const auto& options : tasks.all()) {
    v.begin_section(options->name());
    options->fields(v);
    v.end_section();
  }
}

namespace {

constexpr std::string_view kModelPrefix = "model.", kFreshPrefix = "fresh_model.";

/// The keys of a tree that start with a prefix, without it.
ConfigTree keys_under(const ConfigTree& tree, std::string_view prefix) {
  ConfigTree found;
  for (const auto& [key, value] : tree)
    if (key.starts_with(prefix)) found[key.substr(prefix.size())] = value;
  return found;
}

bool names_checkpoint(const ConfigTree& tree) {
  const auto it = tree.find("init_from");
  if (it == tree.end()) return false;
  const auto* text = std::get_if<std::string>(&it->second.value);
  return text == nullptr || !text->empty();
}

/// The tree with the fresh model's keys as the model's, where it has these not already, or without
/// them where a run starts from a checkpoint.
ConfigTree settled(const ConfigTree& tree) {
  ConfigTree rest;
  for (const auto& [key, value] : tree)
    if (!key.starts_with(kFreshPrefix)) rest[key] = value;
  const ConfigTree fresh = keys_under(tree, kFreshPrefix);
  if (names_checkpoint(rest)) {
    if (!fresh.empty()) model_from_tree(fresh);  // what is not used is not wrong either
    return rest;
  }
  for (const auto& [key, value] : fresh) rest.emplace(concat(kModelPrefix, key), value);
  return rest;
}

/// A checkpoint's model as it is trained on: of the size that its transform gives, without a
/// projection to texts, which is no classifier.
ViTConfig trained_on(const ModelInfo& info) {
  ViTConfig model = info.config;
  if (model.embeds_images()) model.text.joint_dim = 0;
  model.adapters = {};  // they are in its weights then
  const auto pixels = parse_preprocessing(info.pp_eval);
  if (info.any_size && pixels && pixels->height() > 0 && pixels->height() % model.patch_size == 0 &&
      pixels->width() % model.patch_size == 0)
    model.img_size = {pixels->height(), pixels->width()};
  return model;
}

/// The model that the tree's model keys change.
ViTConfig first_model(const ConfigTree& tree, const ConfigTree& model_tree,
                      const std::string& start) {
  // Unknown keys are named with their whole path, so the strict pass is the whole config's.
  TrainConfig config;
  config.model = base_model(model_tree);
  apply_config(tree, [&](FieldVisitor& v) { config.fields(v); });
  const bool is_written = model_tree.count("name") + model_tree.count("block") > 0;
  if (is_written || config.init_from.empty() || !config.task_options().may_start_from())
    return base_model(model_tree);
  return trained_on(read_model_info(resolve_checkpoint(start.empty() ? config.init_from : start)));
}

}  // namespace

TrainConfig train_config_from_tree(const ConfigTree& whole, const std::string& start) {
  const ConfigTree tree = settled(whole), model_tree = keys_under(tree, kModelPrefix);
  TrainConfig config;
  config.model = first_model(tree, model_tree, start);
  config.has_num_classes = model_tree.count("num_classes") != 0;
  apply_config(tree, [&](FieldVisitor& v) { config.fields(v); });
  config.task_options().shape(config.model);
  config.model.validate();
  check_choices(config);
  return config;
}

Schedule make_schedule(const TrainConfig& config, int64_t examples_per_epoch) {
  DurationScale scale{config.data.batch_size, examples_per_epoch, 0};
  scale.total_steps = to_steps(config.total, scale, 0);
  return {config.schedule, scale.total_steps, to_steps(config.warmup, scale, 0),
          to_steps(config.cooldown, scale, 0)};
}

std::string to_toml(const TrainConfig& config) {
  TrainConfig copy = config;
  return to_toml(Fields([&](FieldVisitor& v) { copy.fields(v); }));
}

void EvaluationConfig::fields(FieldVisitor& v) {
  v.field("evaluators", evaluators,
          "what validations measure beyond the task's own metrics; NAME@K for every K-th of them");
}

AskedEvaluator asked_evaluator(const std::string& text) {
  const size_t at = text.find('@');
  AskedEvaluator asked{text.substr(0, at)};
  make_evaluator(asked.name, {});
  if (at == std::string::npos) return asked;
  const std::string every = text.substr(at + 1);
  const bool is_number =
      !every.empty() && every.size() < 10 && every.find_first_not_of("0123456789") == every.npos;
  asked.every = is_number ? std::stoll(every) : 0;
  if (asked.every < 1)
    throw UsageError("eval.evaluators: '", text, "', want NAME or NAME@K with K of 1 or more");
  return asked;
}

std::string source_text(const DataConfig& data) {
  return data.source + ":" + data.root;
}

}  // namespace vit22b
