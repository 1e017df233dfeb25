#include "cli/inspect.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "checkpoint/import/own.h"
#include "checkpoint/text_side.h"
#include "core/error.h"
#include "core/text.h"
#include "core/text_table.h"
#include "model/flops.h"
#include "model/parameter_table.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

struct InspectFlags {
  CommonFlags common;
  std::string checkpoint, tower = "image";
  std::vector<std::string> given;
};

/// One tower of a checkpoint.
struct Inspected {
  std::string family;
  ViTConfig config;
  std::vector<FunctionField> function;
};

Inspected inspected(const InspectFlags& flags) {
  std::vector<std::string> given = flags.given;
  const bool is_text = flags.tower == kTextTower;
  if (!is_text && flags.tower != "image") given.push_back("tower=" + flags.tower);
  const CheckpointPath place =
      resolve_checkpoint(flags.checkpoint + (given.empty() ? "" : "?" + join(given, "&")));
  const ModelInfo info = read_model_info(place);
  if (!is_text) return {info.family, info.config, function_of(info)};
  const TextSide text = read_text_side(place);
  return {info.family, text.config, text.function};
}

Json json_of(const Inspected& model) {
  Json fields = Json::array();
  for (const auto& [field, value, from] : model.function)
    fields.push_back({{"field", field}, {"value", value}, {"from", from}});
  const bool is_image = !model.config.reads_words();
  return {
      {"family", model.family},
      {"config",
       is_image ? Json::parse(model_info_text({model.config, default_pp_eval(model.config), {}}))
                      .at("model_args")
                : Json::parse(fields_text(model.config))},
      {"parameters", count_parameters(parameter_table(model.config)).total},
      {"forward_flops", forward_flops(model.config)},
      {"function", fields}};
}

std::string text_of(const Inspected& model) {
  std::string text = concat("family ", model.family, "   parameters ",
                            count_parameters(parameter_table(model.config)).total, "   width ",
                            model.config.embed_dim, "   blocks ", model.config.depth, "\n");
  constexpr auto kLeft = TextTable::Align::kLeft;
  TextTable rows({kLeft, kLeft, kLeft});
  for (const auto& [field, value, from] : model.function)
    if (field != "pp_eval") rows.add({field, value, from});
  text += rows.text();
  // A transform is longer than a column should be.
  for (const auto& [field, value, from] : model.function)
    if (field == "pp_eval") text += concat("pp_eval  ", value, "\n         ", from, "\n");
  return text;
}

void run_inspect(const InspectFlags& flags) {
  begin_command(flags.common);
  const Inspected model = inspected(flags);
  print_out(flags.common.is_json ? json_of(model).dump(1) + "\n" : text_of(model));
}

}  // namespace

void add_inspect(CLI::App& group) {
  auto flags = std::make_shared<InspectFlags>();
  CLI::App* inspect = group.add_subcommand(
      "inspect", "what a checkpoint's model computes, and where that is known from");
  inspect->add_option("checkpoint", flags->checkpoint, "checkpoint, run folder or file of weights")
      ->required();
  inspect->add_option("given", flags->given, "what the files do not say, as num_heads=12");
  inspect
      ->add_option("--tower", flags->tower,
                   "image, text of a two-tower checkpoint, or one of several image towers")
      ->capture_default_str();
  add_common_flags(*inspect, flags->common, kJson);
  inspect->callback([flags] { run_inspect(*flags); });
}

}  // namespace vit22b
