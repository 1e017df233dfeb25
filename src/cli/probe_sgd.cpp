#include "cli/probe_sgd.h"

#include "cli/head_report.h"
#include "core/error.h"
#include "train/trainer.h"
#include "train/transform_setup.h"

namespace vit22b {
namespace {

std::vector<std::string> all_but_head(const ViTConfig& config) {
  std::vector<std::string> patterns = {"blocks.*"};
  for (const ParameterRow& row : parameter_table(config))
    if (row.unit.kind != UnitKind::kBlock && row.unit.kind != UnitKind::kHead)
      patterns.push_back(row.name);
  return patterns;
}

TrainConfig probe_config(const HeadFlags& flags, const SgdProbe& probe) {
  ModelInfo info = read_model_info(resolve_checkpoint(flags.checkpoint));
  apply_pixel_changes(flags.pixels, info);
  TrainConfig c;
  c.model = info.config;
  if (c.model.plex.has_members())
    throw UsageError("--method sgd: ", flags.checkpoint,
                     " is an ensemble, whose members have no pooled vector together; use ",
                     "--method grid or lbfgs");
  c.model.plex = {};
  c.model.num_classes = 0;
  c.model.adapters = {};
  c.model.head_bias_init = 0;
  c.total = {static_cast<double>(probe.epochs), Duration::Unit::kEpochs};
  c.seed = flags.common.seed;
  c.precision = flags.common.precision;
  c.engine = flags.common.engine;
  c.init_from = flags.checkpoint;
  c.init_skip = {"head.*"};
  c.freeze = all_but_head(c.model);
  c.store = flags.common.store;
  if (c.store == "streamed") c.tune = {"head.*"};
  c.loss = "softmax";
  const SourceName source = parse_source(flags.train);
  c.data.source = source.kind;
  c.data.root = source.root;
  c.data.train_split = flags.train_split;
  c.data.split_folders = flags.source.split_folders;
  c.data.allow_empty = true;
  c.data.val = "";
  c.data.batch_size = probe.batch_size;
  c.data.workers = flags.loader.workers;
  c.data.max_bad_fraction = flags.loader.max_bad_fraction;
  c.data.max_pixels = flags.loader.max_pixels;
  c.data.pp_eval = info.pp_eval;
  c.data.pp_train = training_transform(c.model, info.pp_eval, ",50,100");
  c.optim.name = "sgd";
  c.optim.lr = probe.rate * static_cast<double>(probe.batch_size) / 256;
  c.optim.weight_decay = c.optim.head_weight_decay = 0;
  c.schedule.name = "cosine";
  return c;
}

/// What the trained head says of the test samples.
HeadAnswers test_of(const HeadFlags& flags, const Device& device, const HeadSources& sources) {
  HeadFlags of_run = flags;
  of_run.checkpoint = flags.common.out;
  of_run.pixels = {};  // they are the run's own
  LabelledFeatures said = open_table(of_run, "logits", device, *sources.test).labelled("logits");
  said.place = sources.test_place;
  const ModelInfo info = read_model_info(resolve_checkpoint(flags.common.out));
  const LabelledFeatures trained{said.features_ND, at::zeros({sources.train->size()}, at::kLong),
                                 info.label_names, sources.train_place};
  said = in_classes_of(trained, std::move(said), flags.class_map);
  const int64_t num_classes = count_classes(trained, said);
  return {
      "sgd",         said.labels_N,         class_names_of(flags, info.label_names, num_classes),
      num_classes,   sources.train->size(), said.place,
      sources.split, said.contents,         {{0, said.features_ND.argmax(1).unsqueeze(0)}}};
}

}  // namespace

void run_sgd_probe(const HeadFlags& flags, const SgdProbe& probe, const Device& device) {
  if (flags.common.out.empty())
    throw UsageError("--method sgd trains: give its run folder, --out RUN");
  if (flags.feature != "pooled")
    throw UsageError("--method sgd trains on the pooled features; leave --feature away");
  if (!flags.test_part.empty() || flags.folds > 0)
    throw UsageError(
        "--method sgd trains on a whole split and keeps its run; give --test SRC, or a source with "
        "a split \"test\"");
  const HeadSources sources = open_head_sources(flags);
  TrainOptions options;
  options.out = flags.common.out;
  options.device = device;
  options.is_quiet = flags.common.is_quiet;
  options.command_line = "vit22b probe --method sgd " + flags.checkpoint;
  FileOps ops(ExitCode::kCheckpoint);
  const TrainSummary summary = train(probe_config(flags, probe), options, ops);
  HeadFlags report = flags;
  report.common.out = (options.out / "results" / "probe.json").string();
  ops.make_folder(options.out / "results");
  HeadAnswers answers = test_of(flags, device, sources);
  answers.chosen = {{"rate", probe.rate}, {"epochs", probe.epochs}, {"steps", summary.step}};
  report_head(report, answers);
}

}  // namespace vit22b
