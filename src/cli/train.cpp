#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/depth_run.h"
#include "cli/segment_run.h"
#include "core/error.h"
#include "core/log.h"
#include "data/source.h"
#include "dist/launch.h"
#include "train/head_recipe.h"
#include "train/run_folder.h"
#include "train/trainer.h"

namespace vit22b {
namespace {

struct TrainFlags {
  std::string command;  ///< train, finetune or distill
  CommonFlags common;
  std::string config;
  std::vector<std::string> overrides;
  std::string data, resume, init_from, trace;
  int64_t procs = 0;
  bool is_fresh = false;
};

// What a first run changes; `config show` has the rest.
constexpr const char* kOftenInTraining[] = {
    "total_steps",        "eval_steps",      "ckpt_steps",    "precision",
    "model.name",         "model.img_size",  "data.root",     "data.val",
    "data.batch_size",    "data.pp_train",   "optim.name",    "optim.lr",
    "optim.weight_decay", "optim.clip_norm", "schedule.name", "loss",
    "mesh.data",          "mesh.model",      "store"};

std::string default_options_text() {
  TrainConfig config;
  return often_changed_text([&](FieldVisitor& v) { config.fields(v); }, kOftenInTraining,
                            "Options are KEY=VALUE, here or in the file", "`vit22b config show`");
}

std::string ending(const TrainSummary& summary) {
  if (!summary.was_finished_before) return concat("trained to step ", summary.step);
  const bool is_beyond = summary.step > summary.total;
  return concat("already at step ", summary.step,
                is_beyond ? concat(", beyond the total of ", summary.total) : "",
                "; nothing was done");
}

// What one rank, or the only process, does.
void run_ranks(const TrainConfig& config, const TrainOptions& options, bool is_json) {
  FileOps ops(ExitCode::kCheckpoint);
  const TrainSummary summary = train(config, options, ops);
  options.mesh->do_once([&] {
    const nlohmann::ordered_json result = {{"run", options.out.string()},
                                           {"checkpoint", summary.checkpoint.string()},
                                           {"step", summary.step},
                                           {"was_finished_before", summary.was_finished_before}};
    print_out(is_json ? result.dump(1) + "\n"
                      : concat(ending(summary), ": ", summary.checkpoint.string(), "\n"));
  });
}

/// The config file, or for commands of heads a checkpoint whose head is to be trained.
ConfigTree first_tree(const TrainFlags& flags) {
  if (head_recipe(flags.command).empty() || flags.config.ends_with(".toml"))
    return read_config_file(flags.config);
  ConfigTree tree;
  for (const std::string_view assignment : head_recipe(flags.command))
    set_override(tree, std::string(assignment));
  for (const std::string& assignment : head_of_checkpoint(flags.command, flags.config))
    set_override(tree, assignment);
  set_override(tree, "init_from=" + flags.config);
  return tree;
}

void run_train(const CLI::App& command, const TrainFlags& flags, const std::string& command_line) {
  ConfigTree tree = first_tree(flags);
  if (!flags.data.empty()) {
    const SourceName source = parse_source(flags.data);
    set_override(tree, "data.source=" + source.kind);
    set_override(tree, "data.root=" + source.root);
  }
  apply_overrides(tree, flags.overrides);
  const auto set = [&](const char* flag, const std::string& key, const std::string& value) {
    if (command.count(flag) > 0) set_override(tree, key + "=" + value);
  };
  set("--device", "device", flags.common.device);
  set("--threads", "threads", std::to_string(flags.common.threads));
  set("--seed", "seed", std::to_string(flags.common.seed));
  set("--precision", "precision", flags.common.precision);
  set("--engine", "engine", flags.common.engine);
  set("--init-from", "init_from", flags.init_from);
  if (flags.command == "distill" || flags.command == "lit" || !head_recipe(flags.command).empty())
    set_override(tree, "task=" + flags.command);
  if (flags.is_fresh && !flags.resume.empty())
    throw UsageError("--resume and --no-resume exclude each other");
  const std::filesystem::path out =
      flags.common.out.empty() ? "runs/" + std::filesystem::path(flags.config).stem().string()
                               : flags.common.out;
  const TrainConfig config =
      train_config_from_tree(tree, flags.is_fresh ? "" : start_of_run(out, flags.resume).string());
  if (flags.command == "finetune" && config.init_from.empty())
    throw UsageError("finetune starts from a checkpoint: give --init-from CKPT, or init_from");

  CommonFlags common = flags.common;
  common.device = device_of_rank(config.device);
  common.threads = config.threads;
  TrainOptions options;
  options.device = begin_command(common);
  options.out = out;
  options.resume = flags.resume;
  options.is_resuming = !flags.is_fresh;
  options.is_quiet = common.is_quiet;
  options.command_line = command_line;
  options.trace = flags.trace;
  const Ranks ranks({.shape = {config.mesh.data, config.mesh.model},
                     .deadline_s = config.mesh.deadline_s,
                     .device = options.device,
                     .ring = {config.mesh.transfers == "async", config.mesh.ring == "two-way"},
                     .threads = config.threads});
  options.mesh = &ranks.mesh();
  ranks.guard([&] { run_ranks(config, options, common.is_json); });
}

CLI::App* add_training(CLI::App& app, const std::string& name, const std::string& help) {
  auto flags = std::make_shared<TrainFlags>();
  flags->command = name;
  CLI::App* command = app.add_subcommand(name, help);
  const bool is_of_head = !head_recipe(name).empty();
  CLI::Option* config =
      command->add_option("config", flags->config,
                          is_of_head ? "TOML file, or a checkpoint that gets a head" : "TOML file");
  if (!is_of_head) config->required();  // `segment run` has none
  command->add_option("--data", flags->data, source_help() + "; data.source and data.root");
  add_overrides(*command, flags->overrides);
  add_common_flags(*command, flags->common, kDevice | kPrecision | kSeed | kOut | kJson,
                   "run folder (runs/<config name>)");
  command->add_option("--resume", flags->resume,
                      "go on from this checkpoint instead of the run's latest");
  command->add_flag("--no-resume", flags->is_fresh,
                    "start again; an earlier run in the folder is moved to previous-N/");
  command->add_option("--init-from", flags->init_from, "start from the weights of this checkpoint");
  command->add_option("--procs", flags->procs,
                      "train as N ranks on this host, under OpenMPI's mpirun");
  command->add_option("--trace", flags->trace,
                      "write when what was computed and transferred (Chrome's trace format)");
  command->footer(default_options_text);
  command->callback([command, flags, name] {
    if (!command->get_subcommands().empty()) return;
    if (flags->config.empty()) throw UsageError("give a TOML file, or a checkpoint");
    if (flags->procs > 0 && detect_launcher().name.empty())
      return run_under_mpirun(flags->procs, words_without("--procs", command_words()));
    std::string line = "vit22b " + name + " " + flags->config;
    for (const std::string& word : flags->overrides) line += " " + word;
    run_train(*command, *flags, line);
  });
  return command;
}

}  // namespace

void add_train(CLI::App& app) {
  add_training(app, "train", "train a model; the same command and --out go on where it stopped");
  add_training(app, "finetune",
               "train all of a checkpoint, or what `freeze` leaves, on other data");
  add_training(app, "lit",
               "train a text tower beside a locked image tower on pictures with captions");
  add_training(app, "distill", "train a student to say what its teachers say of the same images");
  add_segment_run(*add_training(
      app, "segment", "train a head that names the class of every pixel, on pictures with masks"));
  add_depth_run(*add_training(
      app, "depth", "train a head that says how far every pixel is, on pictures with depth maps"));
}

}  // namespace vit22b
