#include <optional>

#include "checkpoint/model_info.h"
#include "cli/head_report.h"
#include "cli/probe_methods.h"
#include "core/error.h"
#include "core/progress.h"
#include "core/watch.h"
#include "transfer/head_choice.h"

namespace vit22b {
namespace {

/// Inputs of heads, and where the tests' rows come from.
struct GridData {
  HeadData labels;  ///< features of the first input alone
  std::vector<HeadInput> train, test;
};

/// Columns of a table side by side, of these rows, or of all where they are undefined.
HeadInput joined_input(const std::string& name, const FeatureTable& table,
                       const std::vector<std::string>& parts, const at::Tensor& rows) {
  int64_t width = 0;
  for (const std::string& part : parts) width += table.width(part);
  return {name, width, [&table, parts, rows](const at::Tensor& indices) {
            const at::Tensor of_table = rows.defined() ? rows.index_select(0, indices) : indices;
            std::vector<at::Tensor> columns;
            columns.reserve(parts.size());
            for (const std::string& part : parts) columns.push_back(table.rows(part, of_table));
            return parts.size() == 1 ? columns.front() : at::cat(columns, 1);
          }};
}

HeadInput whole_input(const at::Tensor& features_ND) {
  return {"features", features_ND.size(1), [features_ND](const at::Tensor& indices) {
            return features_ND.index_select(0, indices);
          }};
}

HeadAnswers test_grid(const ProbeFlags& flags, const HeadSets& sets, const GridData& grid) {
  const HeadData& data = grid.labels;
  const HoldOut parts =
      hold_out(data.train.size(), flags.hold_out, static_cast<uint64_t>(flags.head.common.seed));
  std::optional<Progress> progress;
  const std::vector<HeadRow> rows =
      train_head_grid(grid.train, data.train.labels_N, parts.kept, data.num_classes,
                      {.rates = flags.rates,
                       .epochs = flags.epochs,
                       .batch_size = flags.head_batch,
                       .seed = static_cast<uint64_t>(flags.head.common.seed),
                       .watch = {watch_signals().should_stop, [&](int64_t step, int64_t total) {
                                   if (!progress)
                                     progress.emplace("heads", total, flags.head.common.is_quiet);
                                   progress->update(step);
                                 }}});
  progress.reset();
  const HeadChoice best = choose_head(rows, grid.train, data.train.labels_N, parts.held_out);
  const at::Tensor scores = rows[best.input].head(best.rate).scores(
      grid.test[best.input].rows(at::arange(data.test.size(), at::kLong)));
  HeadAnswers answers = answers_on("grid", sets, data);
  answers.predicted[0] = scores.argmax(1).unsqueeze(0);
  answers.chosen = {{"input", grid.train[best.input].name},
                    {"rate", flags.rates[static_cast<size_t>(best.rate)]},
                    {"held_out_accuracy", best.held_out_accuracy}};
  return answers;
}

/// The grid's inputs of one fit.
GridData grid_data(const HeadTables& tables, size_t fit, const ViTConfig& config) {
  const RowSplit& rows = tables.sets.rows.at(fit);
  GridData grid{tables.sets.at(fit), {}, {}};
  for (const auto& [name, parts] : grid_inputs(config)) {
    grid.train.push_back(joined_input(name, tables.train, parts, rows.train));
    grid.test.push_back(joined_input(name, tables.of_test(), parts, rows.test));
  }
  return grid;
}

/// Heads on all the inputs that a model offers.
void run_model_grid(const ProbeFlags& flags, const Device& device) {
  const ViTConfig config = read_model_info(resolve_checkpoint(flags.head.checkpoint)).config;
  std::vector<std::string> names = {"pooled"};
  const auto inputs = grid_inputs(config);
  names.insert(names.end(), inputs.back().second.begin(), inputs.back().second.end());
  const HeadTables tables = open_head_tables(flags.head, device, names);
  report_heads(flags.head, tables.sets, [&](size_t fit) {
    return test_grid(flags, tables.sets, grid_data(tables, fit, config));
  });
}

}  // namespace

void run_grid_probe(const ProbeFlags& flags, const Device& device) {
  if (!is_from_files(flags.head) && flags.head.checkpoint != "pixels")
    return run_model_grid(flags, device);
  const HeadSets sets = open_head_sets(flags.head, device);
  report_heads(flags.head, sets, [&](size_t fit) {
    const HeadData data = sets.at(fit);
    return test_grid(
        flags, sets,
        {data, {whole_input(data.train.features_ND)}, {whole_input(data.test.features_ND)}});
  });
}

}  // namespace vit22b
