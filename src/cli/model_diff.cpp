#include "cli/model_diff.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "checkpoint/init_difference.h"
#include "core/error.h"
#include "core/json.h"
#include "core/text_table.h"
#include "kernels/shape.h"
#include "measure/checkpoint_difference.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

struct DiffFlags {
  CommonFlags common;
  std::string first, second;
};

Json side_json(const std::string& checkpoint, const CheckpointDifference::Side& side) {
  return {{"checkpoint", checkpoint},
          {"family", side.family.empty() ? Json(nullptr) : Json(side.family)},
          {"dtypes", side.dtypes}};
}

Json value_json(const CheckpointDifference::Value& value) {
  const metrics::TensorDifference& of = value.of;
  return {{"name", value.name},
          {"max_abs", number_or_null<Json>(of.max_abs())},
          {"relative", number_or_null<Json>(of.relative())},
          {"num_different", of.num_different()},
          {"num_values", of.num_values()},
          {"nan_a", of.num_nan_first()},
          {"nan_b", of.num_nan_second()},
          {"infinite", of.num_infinite()}};
}

Json difference_json(const DiffFlags& flags, const CheckpointDifference& found) {
  Json different = Json::array(), shapes = Json::array(), function = Json::array(), labels;
  for (const auto& value : found.different) different.push_back(value_json(value));
  for (const auto& [name, first, second] : found.shapes)
    shapes.push_back({{"name", name}, {"a", first}, {"b", second}});
  for (const auto& [field, first, second] : found.function)
    function.push_back({{"field", field}, {"a", first}, {"b", second}});
  if (const auto& label = found.labels)
    labels = {{"num_a", label->num_first},
              {"num_b", label->num_second},
              {"index", label->index},
              {"a", label->first},
              {"b", label->second}};
  return {{"a", side_json(flags.first, found.first)},
          {"b", side_json(flags.second, found.second)},
          {"is_equal", found.is_equal()},
          {"names", found.reason.empty() ? "parameters" : "files"},
          {"reason", found.reason.empty() ? Json(nullptr) : Json(found.reason)},
          {"equal", found.num_equal},
          {"only_a", found.only_first},
          {"only_b", found.only_second},
          {"shapes", shapes},
          {"different", different},
          {"function", function},
          {"label_names", labels}};
}

std::string side_text(const char* side, const std::string& checkpoint,
                      const CheckpointDifference::Side& of) {
  std::vector<std::string> dtypes;
  for (const auto& [dtype, count] : of.dtypes) dtypes.push_back(concat(count, " of ", dtype));
  return concat(side, "  ", shown_name(checkpoint), "  ", of.family.empty() ? "" : of.family + "; ",
                "tensors in its files: ", join(dtypes, ", "), "\n");
}

/// What of a tensor is not finite in one alone.
std::string special_values(const metrics::TensorDifference& of) {
  std::vector<std::string> found;
  if (of.num_nan_first() > 0) found.push_back(concat(of.num_nan_first(), " NaN in A alone"));
  if (of.num_nan_second() > 0) found.push_back(concat(of.num_nan_second(), " NaN in B alone"));
  if (of.num_infinite() > 0) found.push_back(concat(of.num_infinite(), " infinite"));
  return join(found, ", ");
}

std::string values_text(const std::vector<CheckpointDifference::Value>& different) {
  constexpr size_t kShown = 20;
  if (different.empty()) return "";
  using enum TextTable::Align;
  TextTable rows({kLeft, kRight, kRight, kRight, kLeft, kLeft}, "  ");
  rows.add({"largest difference first", "relative", "max_abs", "values", "", ""});
  const auto shown = [](double value) {
    return std::isnan(value) ? std::string("-") : formatted("%.3g", value);
  };
  for (size_t i = 0; i < std::min(kShown, different.size()); ++i) {
    const auto& [name, of] = different[i];
    rows.add({shown_name(name), shown(of.relative()), shown(of.max_abs()),
              std::to_string(of.num_different()), concat("of ", of.num_values()),
              special_values(of)});
  }
  std::string text = rows.text();
  if (different.size() > kShown)
    text += concat("  and ", different.size() - kShown, " more; --json lists all\n");
  return text;
}

std::string shapes_text(const std::vector<CheckpointDifference::Shape>& shapes) {
  using enum TextTable::Align;
  TextTable rows({kLeft, kLeft, kLeft}, "  ");
  if (!shapes.empty()) rows.add({"other shapes", "A", "B"});
  for (const auto& [name, first, second] : shapes)
    rows.add({shown_name(name), shape_text(first), shape_text(second)});
  return rows.text();
}

std::string function_text(const CheckpointDifference& found) {
  std::string text;
  for (const auto& [field, first, second] : found.function)
    text += concat("  ", field, ": ", first, " in A, ", second, " in B\n");
  if (const auto& label = found.labels) {
    const auto called = [](const std::string& name) {
      return name.empty() ? std::string("none") : "\"" + shown_name(name) + "\"";
    };
    text += concat("  label_names: ", label->num_first, " in A, ", label->num_second,
                   " in B; the first that differs is ", label->index, ": ", called(label->first),
                   ", ", called(label->second), "\n");
  }
  return text;
}

std::string difference_text(const DiffFlags& flags, const CheckpointDifference& found) {
  std::string text =
      side_text("A", flags.first, found.first) + side_text("B", flags.second, found.second);
  if (!found.reason.empty())
    text +=
        concat("by the names in the files, for not both are read as models: ", found.reason, "\n");
  text += concat(found.num_equal, " tensors equal, ", found.different.size(), " different, ",
                 found.shapes.size(), " of other shapes, ", found.only_first.size(),
                 " in A alone, ", found.only_second.size(), " in B alone\n");
  text += values_text(found.different) + shapes_text(found.shapes);
  if (!found.only_first.empty())
    text += concat("  in A alone: ", grouped_names(found.only_first), "\n");
  if (!found.only_second.empty())
    text += concat("  in B alone: ", grouped_names(found.only_second), "\n");
  const std::string function = function_text(found);
  return text +
         (function.empty() ? "" : "what they compute, and their classes' names\n" + function);
}

void run_model_diff(const DiffFlags& flags) {
  begin_command(flags.common);
  const CheckpointPath first = resolve_checkpoint(flags.first),
                       second = resolve_checkpoint(flags.second);
  const CheckpointDifference found = compare_checkpoints(first, second, watch_signals());
  print_out(
      flags.common.is_json
          ? difference_json(flags, found).dump(1, ' ', false, Json::error_handler_t::replace) + "\n"
          : difference_text(flags, found));
}

}  // namespace

void add_model_diff(CLI::App& group) {
  auto flags = std::make_shared<DiffFlags>();
  CLI::App* diff = group.add_subcommand(
      "diff", "what two checkpoints have otherwise: values, shapes, function, names of classes");
  diff->add_option("a", flags->first,
                   "checkpoint, run folder or file of weights; what it does not "
                   "say may stand behind it, as vit.pth?num_heads=12")
      ->required();
  diff->add_option("b", flags->second, "the other one, of any family")->required();
  add_common_flags(*diff, flags->common, kJson);
  diff->footer(
      "Ends with 0 whether they differ or not; `is_equal` of --json says it. relative: length of "
      "the difference over A's length.");
  diff->callback([flags] { run_model_diff(*flags); });
}

}  // namespace vit22b
