#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "checkpoint/export/exporter.h"
#include "checkpoint/import/own.h"
#include "checkpoint/model_writer.h"
#include "cli/command.h"
#include "cli/inspect.h"
#include "cli/layout_flags.h"
#include "cli/model_diff.h"
#include "cli/model_stats.h"
#include "cli/named_model.h"
#include "core/error.h"
#include "core/log.h"
#include "core/signals.h"
#include "core/text_table.h"
#include "model/flops.h"
#include "model/initialise.h"

namespace vit22b {
namespace {

struct ModelFlags {
  CommonFlags common;
  std::string name;
  std::vector<std::string> overrides;
  bool is_randomised = false;
  LayoutFlags layout;
};

ViTConfig named_model(const ModelFlags& flags) {
  if (const auto checkpoint = named_checkpoint(flags.name, flags.overrides))
    return read_model_info(*checkpoint).config;
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
  constexpr auto kLeft = TextTable::Align::kLeft;
  TextTable rows({kLeft, kLeft, kLeft, kLeft, kLeft});
  for (const ParameterRow& row : table) {
    std::vector<std::string> sides;
    sides.reserve(row.shape.size());
    for (const int64_t side : row.shape) sides.push_back(std::to_string(side));
    rows.add({row.name, "[" + join(sides, ", ") + "]", group_name(row.group), row.unit.name(),
              row.initialiser.text()});
  }
  TextTable sums({kLeft, kLeft});
  sums.add({"block matmul weights", std::to_string(counts.block_matmul)});
  sums.add({"embedding, blocks, final norm", std::to_string(counts.body)});
  sums.add({"with the pooling head", std::to_string(counts.body_and_pool)});
  sums.add({"with the classifier", std::to_string(counts.total)});
  sums.add({"FLOP an image", formatted("%.4g forward, ", forward_flops(config)) +
                                 formatted("%.4g training", train_flops(config))});
  return rows.text() + sums.text();
}

void run_list(const ModelFlags& flags) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  constexpr auto kRight = TextTable::Align::kRight;
  TextTable rows({TextTable::Align::kLeft, kRight, kRight, kRight, kRight, kRight, kRight});
  rows.add({"name", "width", "depth", "mlp", "heads", "patch", "parameters (body and pool)"});
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
    rows.add({name, std::to_string(c.embed_dim), std::to_string(c.depth),
              std::to_string(c.mlp_dim()), std::to_string(c.num_heads),
              std::to_string(c.patch_size), std::to_string(count)});
  }
  print_out(flags.common.is_json ? json.dump(1) + "\n" : rows.text());
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
  const WeightLayout layout = flags.layout.layout();
  const ModelInfo info{config, default_pp_eval(config), {}};
  const std::vector<ParameterRow> table = parameter_table(config);
  std::optional<WrittenModel> others;  // names, where they are not ours
  if (!flags.layout.to.empty()) others = export_model(flags.layout.to, info, table);
  FileOps ops(ExitCode::kCheckpoint);
  make_recorded_folder(ops, folder, [&](const std::filesystem::path& beside, Manifest& manifest) {
    if (others)
      write_model(ops, beside, *others, whole, layout, manifest);
    else
      write_model(ops, beside, info, whole, layout, manifest);
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
  add_layout_flags(*init, flags->layout, export_formats(), "");
  add_common_flags(*init, flags->common, kSeed | kOut, "folder of the new checkpoint");
  init->footer(options);
  init->callback([flags] { run_init(*flags); });
}

// What a first try changes; `config show` has the rest.
constexpr const char* kOftenInModels[] = {
    "block",      "img_size",    "patch_size", "embed_dim", "depth",       "num_heads",
    "mlp_ratio",  "swiglu",      "norm_layer", "act_layer", "qk_norm",     "class_token",
    "reg_tokens", "global_pool", "pos_embed",  "rope",      "init_values", "num_classes"};

}  // namespace

void add_model(CLI::App& app) {
  CLI::App* group = app.add_subcommand("model", "presets, parameter tables and fresh checkpoints");
  group->require_subcommand(1);
  auto flags = std::make_shared<ModelFlags>();
  ViTConfig defaults;
  const std::string options = often_changed_text([&](FieldVisitor& v) { defaults.fields(v); },
                                                 kOftenInModels, "The model's keys are KEY=VALUE",
                                                 "`vit22b config show`, there behind `model.`");

  CLI::App* list = group->add_subcommand("list", "the presets");
  list->add_flag("--json", flags->common.is_json, "print the result as JSON");
  list->callback([flags] { run_list(*flags); });

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
  add_model_diff(*group);
  add_model_stats(*group);
  add_init(*group, flags, options);
}

}  // namespace vit22b
