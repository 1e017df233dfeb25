#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "checkpoint/import/own.h"
#include "checkpoint/model_writer.h"
#include "cli/command.h"
#include "cli/inspect.h"
#include "core/error.h"
#include "core/log.h"
#include "core/signals.h"
#include "eval/vit_predictor.h"
#include "model/flops.h"
#include "model/initialise.h"

namespace vit22b {
namespace {

struct ModelFlags {
  CommonFlags common;
  std::string name;
  std::vector<std::string> overrides;
  bool is_randomised = false;
  std::string dtype = "fp32", shard_size;
};

ViTConfig named_model(const ModelFlags& flags) {
  std::error_code error;
  if (std::filesystem::exists(flags.name, error)) {
    if (!flags.overrides.empty())
      throw UsageError("overrides go with a preset's name; ", flags.name, " is a checkpoint");
    return read_model_info(resolve_checkpoint(flags.name)).config;
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

// "5GB" and "512MB" are powers of ten, as in Hugging Face's tools; "" is 0.
int64_t parse_bytes(const std::string& text) {
  if (text.empty()) return 0;
  const std::map<std::string, double> units = {{"MB", 1e6}, {"GB", 1e9}};
  const auto number = leading_number(text);
  const auto unit = number ? units.find(number->second) : units.end();
  if (unit == units.end() || !(number->first * unit->second >= 1 && number->first < 1e9))
    throw UsageError("--shard-size ", text, ": want a number with MB or GB, such as 5GB");
  return static_cast<int64_t>(number->first * unit->second);
}

void run_init(const ModelFlags& flags) {
  begin_command(flags.common);
  if (flags.common.out.empty()) throw UsageError("give --out DIR for the new checkpoint");
  const std::filesystem::path folder = flags.common.out;
  const ViTConfig config = named_model(flags);
  const auto seed = static_cast<uint64_t>(flags.common.seed);
  const WholeTensor whole = [&](const ParameterRow& row) {
    if (stop_signal() != 0) throw Stopped("stopped; no checkpoint was written");
    return flags.is_randomised ? randomised_tensor(row, seed) : initial_tensor(row, seed);
  };
  const WeightLayout layout{precision_type(flags.dtype), parse_bytes(flags.shard_size)};
  FileOps ops(ExitCode::kCheckpoint);
  make_recorded_folder(ops, folder, [&](const std::filesystem::path& beside, Manifest& manifest) {
    write_model(ops, beside, {config, default_pp_eval(config), {}}, whole, layout, manifest);
  });
  log_info("wrote " + folder.string());
}

void add_init(CLI::App& group, const std::shared_ptr<ModelFlags>& flags,
              const std::string& options) {
  CLI::App* init =
      group.add_subcommand("init", "write a fresh checkpoint folder that timm can load");
  init->add_option("name", flags->name, "preset")->required();
  add_overrides(*init, flags->overrides);
  init->add_flag("--randomize-all", flags->is_randomised,
                 "draw every element at random, for parity checks");
  init->add_option("--dtype", flags->dtype,
                   "fp32 or bf16: how the matrices of blocks and pool lie on disk")
      ->capture_default_str()
      ->check(CLI::IsMember({"fp32", "bf16"}));
  init->add_option("--shard-size", flags->shard_size,
                   "largest file, such as 5GB: shards and their index instead of one file, which "
                   "timm's local-dir needs");
  add_common_flags(*init, flags->common, kSeed | kOut, "folder of the new checkpoint");
  init->footer(options);
  init->callback([flags] { run_init(*flags); });
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

  add_inspect(*group);
  add_init(*group, flags, options);
}

}  // namespace vit22b
