#include "cli/inspect.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "checkpoint/import/own.h"
#include "checkpoint/tensor_reader.h"
#include "checkpoint/text_side.h"
#include "cli/tower_flags.h"
#include "core/device.h"
#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "core/text_table.h"
#include "explain/model_diagram.h"
#include "model/flops.h"
#include "model/parameter_table.h"
#include "plan/plan.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

struct InspectFlags {
  CommonFlags common;
  TowerFlags tower;
  std::string svg;
};

/// What a command over the model takes here.
struct TakenHere {
  const char* mode;  ///< as plan calls it
  int64_t bytes = 0;
  std::string reason;  ///< why that is not known; "" where it is
};

/// One tower of a checkpoint.
struct Inspected {
  std::string family;
  ViTConfig config;
  std::vector<FunctionField> function;
  std::vector<TakenHere> taken;  ///< of a tower that sees images
};

TakenHere taken_here(const std::string& place, const char* mode) {
  try {
    return {mode, peak_bytes_here(place, {concat("mode=", mode)}), ""};
  } catch (const UserError& e) {
    return {mode, 0, e.what()};  // such as training without classes: the rest is told
  }
}

Inspected inspected(const InspectFlags& flags) {
  const CheckpointPath place = resolve_checkpoint(flags.tower.place());
  const ModelInfo info = read_model_info(place);
  if (!flags.tower.is_text()) TensorReader(place, parameter_table(info.config)).check_all();
  if (!flags.tower.is_text())
    return {info.family,
            info.config,
            function_of(info),
            {taken_here(flags.tower.place(), "infer"), taken_here(flags.tower.place(), "train")}};
  const TextSide text = read_text_side(place);
  return {info.family, text.config, text.function, {}};
}

Json json_of(const Inspected& model) {
  Json fields = Json::array();
  for (const auto& [field, value, from] : model.function)
    fields.push_back({{"field", field}, {"value", value}, {"from", from}});
  const bool is_image = !model.config.reads_words();
  Json here = {{"memory_bytes", host_memory_bytes()}};
  for (const auto& [mode, bytes, reason] : model.taken)
    here[mode] = reason.empty() ? Json{{"bytes", bytes}, {"fits", fits_here(bytes)}}
                                : Json{{"bytes", nullptr}, {"fits", nullptr}, {"reason", reason}};
  return {
      {"family", model.family},
      {"config",
       is_image ? Json::parse(model_info_text({model.config, default_pp_eval(model.config), {}}))
                      .at("model_args")
                : Json::parse(fields_text(model.config))},
      {"parameters", count_parameters(parameter_table(model.config)).total},
      {"forward_flops", forward_flops(model.config)},
      {"fits_here", here},
      {"function", fields}};
}

/// "fits here: one picture 0.4 GiB, a training step of one 1.2 GiB, of 15.5 GiB"
std::string fits_text(const Inspected& model) {
  std::vector<std::string> parts;
  for (const auto& [mode, bytes, reason] : model.taken) {
    const std::string what =
        std::string(mode) == "infer" ? "one picture " : "a training step of one ";
    if (!reason.empty())
      parts.push_back(concat(what, "is not planned (", reason, ")"));
    else
      parts.push_back(concat(what, fits_here(bytes) ? "" : "does not, it takes ",
                             human_bytes(static_cast<double>(bytes))));
  }
  if (parts.empty()) return "";
  return concat("fits here: ", join(parts, ", "), ", of ",
                human_bytes(static_cast<double>(host_memory_bytes())), "\n");
}

std::string text_of(const Inspected& model) {
  std::string text = concat("family ", model.family, "   parameters ",
                            count_parameters(parameter_table(model.config)).total, "   width ",
                            model.config.embed_dim, "   blocks ", model.config.depth, "\n") +
                     fits_text(model);
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
  print_and_store(flags.common.is_json ? json_of(model).dump(1) + "\n" : text_of(model), [&] {
    FileOps ops;
    if (!flags.svg.empty())
      write_text(ops, flags.svg, block_diagram_svg(model_diagram(model.config)));
  });
}

}  // namespace

void add_inspect(CLI::App& group) {
  auto flags = std::make_shared<InspectFlags>();
  CLI::App* inspect = group.add_subcommand(
      "inspect", "what a checkpoint's model computes, and where that is known from");
  add_tower_flags(*inspect, flags->tower);
  inspect->add_option("--svg", flags->svg, "also draw the model's blocks into this file");
  add_common_flags(*inspect, flags->common, kJson);
  inspect->callback([flags] { run_inspect(*flags); });
}

}  // namespace vit22b
