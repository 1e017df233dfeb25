#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "checkpoint/model_folder.h"
#include "cli/command.h"
#include "core/error.h"
#include "core/log.h"
#include "model/initialise.h"

namespace vit22b {
namespace {

struct ModelFlags {
  CommonFlags common;
  std::string name;
  std::vector<std::string> overrides;
  bool is_randomised = false;
};

ViTConfig named_model(const ModelFlags& flags) {
  std::error_code error;
  if (std::filesystem::exists(flags.name, error)) {
    if (!flags.overrides.empty())
      throw UsageError("overrides go with a preset's name; ", flags.name, " is a checkpoint");
    return read_model_info(resolve_checkpoint(flags.name).folder).config;
  }
  return preset_config(flags.name, flags.overrides);
}

nlohmann::ordered_json show_json(const ViTConfig& config) {
  const std::vector<ParameterRow> table = parameter_table(config);
  const ParameterCounts counts = count_parameters(table);
  nlohmann::ordered_json parameters = nlohmann::ordered_json::array();
  for (const ParameterRow& row : table)
    parameters.push_back({{"name", row.name},
                          {"shape", row.shape},
                          {"group", group_name(row.group)},
                          {"unit", row.unit.name()},
                          {"initialiser", row.initialiser.text()},
                          {"count", row.count()}});
  const nlohmann::ordered_json info =
      nlohmann::ordered_json::parse(model_info_text({config, default_pp_eval(config), {}}));
  return {{"block_matmul_parameters", counts.block_matmul},
          {"body_parameters", counts.body},
          {"body_and_pool_parameters", counts.body_and_pool},
          {"total_parameters", counts.total},
          {"forward_flops", forward_flops(config)},
          {"train_flops", train_flops(config)},
          {"config", info.at("model_args")},
          {"parameters", parameters}};
}

std::string show_text(const ViTConfig& config) {
  const std::vector<ParameterRow> table = parameter_table(config);
  const ParameterCounts counts = count_parameters(table);
  std::string text;
  char line[256];
  for (const ParameterRow& row : table) {
    std::vector<std::string> sides;
    sides.reserve(row.shape.size());
    for (const int64_t side : row.shape) sides.push_back(std::to_string(side));
    std::snprintf(line, sizeof line, "%-34s %-22s %-9s %-12s %s\n", row.name.c_str(),
                  ("[" + join(sides, ", ") + "]").c_str(), group_name(row.group),
                  row.unit.name().c_str(), row.initialiser.text().c_str());
    text += line;
  }
  const auto add = [&](const char* what, int64_t count) {
    std::snprintf(line, sizeof line, "%-34s %lld\n", what, static_cast<long long>(count));
    text += line;
  };
  add("block matmul weights", counts.block_matmul);
  add("embedding, blocks, final norm", counts.body);
  add("with the pooling head", counts.body_and_pool);
  add("with the classifier", counts.total);
  std::snprintf(line, sizeof line, "%-34s %.4g forward, %.4g training\n", "FLOP an image",
                forward_flops(config), train_flops(config));
  return text + line;
}

void run_init(const ModelFlags& flags) {
  begin_command(flags.common);
  if (flags.common.out.empty()) throw UsageError("give --out DIR for the new checkpoint");
  const std::filesystem::path folder = flags.common.out;
  if (std::filesystem::exists(folder / "model.safetensors"))
    throw UsageError(folder.string(), " holds a checkpoint already; choose another --out");
  const ViTConfig config = named_model(flags);
  const auto seed = static_cast<uint64_t>(flags.common.seed);
  NamedTensors weights;
  for (const ParameterRow& row : parameter_table(config))
    weights[row.name] =
        flags.is_randomised ? randomised_tensor(row, seed) : initial_tensor(row, seed);
  FileOps ops(ExitCode::kCheckpoint);
  ops.make_folder(folder);
  Manifest manifest;
  write_model(ops, folder, {config, default_pp_eval(config), {}}, weights, manifest);
  write_manifest(ops, folder, manifest);
  ops.sync_folder(folder);
  log_info("wrote " + folder.string());
}

}  // namespace

void add_model(CLI::App& app) {
  CLI::App* group = app.add_subcommand("model", "presets, parameter tables and fresh checkpoints");
  group->require_subcommand(1);
  auto flags = std::make_shared<ModelFlags>();
  ViTConfig defaults;
  const std::string options =
      "Options, as KEY=VALUE:\n" + option_table([&](FieldVisitor& v) { defaults.fields(v); });

  CLI::App* list = group->add_subcommand("list", "the presets");
  list->add_flag("--json", flags->common.is_json, "print the result as JSON");
  list->callback([flags] {
    nlohmann::ordered_json json = nlohmann::ordered_json::array();
    std::string text;
    for (const std::string& name : preset_names()) {
      const ViTConfig c = preset(name);
      const int64_t count = count_parameters(parameter_table(c)).body_and_pool;
      json.push_back({{"name", name},
                      {"embed_dim", c.embed_dim},
                      {"depth", c.depth},
                      {"mlp_dim", c.mlp_dim()},
                      {"num_heads", c.num_heads},
                      {"patch_size", c.patch_size},
                      {"body_and_pool_parameters", count}});
      char line[160];
      std::snprintf(line, sizeof line,
                    "%-8s width %5lld  depth %2lld  mlp %6lld  heads %2lld  patch %2lld  %12lld "
                    "parameters (body and pool)\n",
                    name.c_str(), static_cast<long long>(c.embed_dim),
                    static_cast<long long>(c.depth), static_cast<long long>(c.mlp_dim()),
                    static_cast<long long>(c.num_heads), static_cast<long long>(c.patch_size),
                    static_cast<long long>(count));
      text += line;
    }
    print_out(flags->common.is_json ? json.dump(1) + "\n" : text);
  });

  CLI::App* show =
      group->add_subcommand("show", "parameter table, counts and FLOP of a preset or checkpoint");
  show->add_option("name", flags->name, "preset or checkpoint")->required();
  add_overrides(*show, flags->overrides);
  add_common_flags(*show, flags->common, kJson);
  show->footer(options);
  show->callback([flags] {
    const ViTConfig config = named_model(*flags);
    print_out(flags->common.is_json ? show_json(config).dump(1) + "\n" : show_text(config));
  });

  CLI::App* init =
      group->add_subcommand("init", "write a fresh checkpoint folder that timm can load");
  init->add_option("name", flags->name, "preset")->required();
  add_overrides(*init, flags->overrides);
  init->add_flag("--randomize-all", flags->is_randomised,
                 "draw every element at random, for parity checks");
  add_common_flags(*init, flags->common, kSeed | kOut, "folder of the new checkpoint");
  init->footer(options);
  init->callback([flags] { run_init(*flags); });
}

}  // namespace vit22b
