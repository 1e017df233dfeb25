#include <CLI/CLI.hpp>

#include "checkpoint/model_info.h"
#include "cli/head_report.h"
#include "cli/probe_sgd.h"
#include "core/device.h"
#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/signals.h"
#include "transfer/head_grid.h"
#include "transfer/logistic.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

struct ProbeFlags {
  HeadFlags head;
  std::string method = "lbfgs";
  double c = 0;  ///< 0: the best of a path
  int64_t path = 12;
  double tolerance = 1e-6, hold_out = 0.1;
  int64_t max_iterations = 1000;
  std::vector<double> rates = head_grid_rates();
  int64_t epochs = 10, head_batch = 1024;
  SgdProbe sgd;
};

double accuracy_of(const at::Tensor& scores_NC, const at::Tensor& labels_N) {
  return scores_NC.argmax(1).eq(labels_N).to(at::kDouble).mean().item<double>();
}

LogisticFit fit(const ProbeFlags& flags, const HeadData& data, const LabelledFeatures& train,
                double c, const LinearHead* start = nullptr) {
  LogisticFit done = fit_logistic(train.features_ND, train.labels_N, data.num_classes, c,
                                  {.tolerance = flags.tolerance,
                                   .max_iterations = flags.max_iterations,
                                   .should_stop = [] { return stop_signal() != 0; }},
                                  start);
  log_info(concat("C ", c, ": ", done.report.iterations, " iterations, largest gradient ",
                  done.report.largest_gradient,
                  done.report.has_converged ? "" : ", not converged"));
  return done;
}

/// The C that is best on a part held out of the training samples.
double choose_c(const ProbeFlags& flags, const HeadData& data, Json& chosen) {
  const HoldOut parts =
      hold_out(data.train.size(), flags.hold_out, static_cast<uint64_t>(flags.head.common.seed));
  const LabelledFeatures train = data.train.subset(parts.kept),
                         held = data.train.subset(parts.held_out);
  std::optional<LogisticFit> last;
  double best = -1, best_c = 1;
  for (const double c : penalty_path(flags.path)) {
    last = fit(flags, data, train, c, last ? &last->head : nullptr);
    const double accuracy = accuracy_of(last->head.scores(held.features_ND), held.labels_N);
    if (accuracy > best) best_c = c;
    best = std::max(best, accuracy);
  }
  chosen["held_out_accuracy"] = best;
  return best_c;
}

/// Says what a large fit takes before it starts, and refuses what this machine does not have.
void check_memory(const ProbeFlags& flags, const HeadData& data) {
  constexpr int64_t kWorthSaying = int64_t{1} << 30;
  const int64_t num = data.train.size(), width = data.train.features_ND.size(1);
  // A part held out leaves a copy of the others.
  const int64_t copies = flags.c > 0 ? 0 : static_cast<int64_t>(data.train.features_ND.nbytes());
  const int64_t bytes = copies + logistic_bytes(num, width, data.num_classes, {});
  if (bytes < kWorthSaying) return;
  const auto text = [](int64_t size) { return human_bytes(static_cast<double>(size)); };
  const std::string what =
      concat("lbfgs in float64 on ", num, " samples of ", width, " features and ", data.num_classes,
             " classes takes up to ", text(bytes), " of memory");
  const int64_t free = host_memory_bytes() - resident_bytes();
  if (bytes > free)
    throw UsageError(what, ", of which this machine has ", text(std::max<int64_t>(0, free)),
                     " left; use --method grid or sgd, which take a batch at a time");
  log_info(what);
}

HeadOutcome test_lbfgs(const ProbeFlags& flags, const HeadSets& sets, const HeadData& data) {
  check_memory(flags, data);
  Json chosen;
  const double c = flags.c > 0 ? flags.c : choose_c(flags, data, chosen);
  const LogisticFit best = fit(flags, data, data.train, c);
  chosen["c"] = c;
  chosen["iterations"] = best.report.iterations;
  chosen["largest_gradient"] = best.report.largest_gradient;
  chosen["has_converged"] = best.report.has_converged;
  HeadResult result = result_on("lbfgs", sets, data);
  result.predicted[0] = best.head.scores(data.test.features_ND).argmax(1).unsqueeze(0);
  return {std::move(result), std::move(chosen)};
}

void run_lbfgs(const ProbeFlags& flags, const Device& device) {
  const HeadSets sets = open_head_sets(flags.head, device);
  std::vector<HeadOutcome> outcomes;
  for (size_t fit = 0; fit < sets.rows.size(); ++fit)
    outcomes.push_back(test_lbfgs(flags, sets, sets.at(fit)));
  report_heads(flags.head, sets, outcomes);
}

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

/// DINOv2's inputs: the pooled vector or the last blocks' summaries, each with and without the mean
/// of the patches.
std::vector<std::pair<std::string, std::vector<std::string>>> grid_inputs(const ViTConfig& config) {
  constexpr int64_t kLastBlocks = 4;
  std::vector<std::string> last;
  for (int64_t i = std::max<int64_t>(0, config.depth - kLastBlocks); i < config.depth; ++i)
    last.push_back(concat("block.", i));
  std::vector<std::string> last_and_mean = last;
  last_and_mean.emplace_back("mean");
  return {{"pooled", {"pooled"}},
          {"pooled+mean", {"pooled", "mean"}},
          {concat("last", last.size()), last},
          {concat("last", last.size(), "+mean"), last_and_mean}};
}

/// The best head of the grid by samples held out of the training set.
struct BestHead {
  size_t input = 0;
  int64_t rate = 0;
  double accuracy = -1;
};

BestHead choose_head(const std::vector<HeadRow>& rows, const std::vector<HeadInput>& inputs,
                     const at::Tensor& labels_N, const at::Tensor& held_out) {
  BestHead best;
  const at::Tensor labels = labels_N.index_select(0, held_out);
  for (size_t i = 0; i < rows.size(); ++i) {
    const at::Tensor right_NH =
        rows[i].scores(inputs[i].rows(held_out)).argmax(2).eq(labels.unsqueeze(1));
    const at::Tensor accuracy_H = right_NH.to(at::kDouble).mean(0);
    for (int64_t h = 0; h < rows[i].num_heads(); ++h)
      if (accuracy_H[h].item<double>() > best.accuracy) best = {i, h, accuracy_H[h].item<double>()};
  }
  return best;
}

HeadOutcome test_grid(const ProbeFlags& flags, const HeadSets& sets, const GridData& grid) {
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
                       .should_stop = [] { return stop_signal() != 0; },
                       .on_progress =
                           [&](int64_t step, int64_t total) {
                             if (!progress)
                               progress.emplace("heads", total, flags.head.common.is_quiet);
                             progress->update(step);
                           }});
  progress.reset();
  const BestHead best = choose_head(rows, grid.train, data.train.labels_N, parts.held_out);
  const at::Tensor scores = rows[best.input].head(best.rate).scores(
      grid.test[best.input].rows(at::arange(data.test.size(), at::kLong)));
  HeadResult result = result_on("grid", sets, data);
  result.predicted[0] = scores.argmax(1).unsqueeze(0);
  return {std::move(result),
          {{"input", grid.train[best.input].name},
           {"rate", flags.rates[static_cast<size_t>(best.rate)]},
           {"held_out_accuracy", best.accuracy}}};
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
  std::vector<HeadOutcome> outcomes;
  for (size_t fit = 0; fit < tables.sets.rows.size(); ++fit)
    outcomes.push_back(test_grid(flags, tables.sets, grid_data(tables, fit, config)));
  report_heads(flags.head, tables.sets, outcomes);
}

void run_grid(const ProbeFlags& flags, const Device& device) {
  if (!is_from_files(flags.head) && flags.head.checkpoint != "pixels")
    return run_model_grid(flags, device);
  const HeadSets sets = open_head_sets(flags.head, device);
  std::vector<HeadOutcome> outcomes;
  for (size_t fit = 0; fit < sets.rows.size(); ++fit) {
    const HeadData data = sets.at(fit);
    outcomes.push_back(test_grid(
        flags, sets,
        {data, {whole_input(data.train.features_ND)}, {whole_input(data.test.features_ND)}}));
  }
  report_heads(flags.head, sets, outcomes);
}

/// Refuses the options of the other methods.
void check_options_of_methods(const CLI::App& command, const std::string& method) {
  const std::pair<const char*, std::vector<std::string>> own[] = {
      {"lbfgs", {"--c", "--path", "--tolerance", "--max-iterations"}},
      {"grid", {"--rates", "--head-batch"}},
      {"sgd", {"--rate"}}};
  for (const auto& [name, options] : own)
    if (name != method) refuse_options(command, options, concat("goes with --method ", name));
  if (method == "lbfgs") refuse_options(command, {"--epochs"}, "goes with --method grid or sgd");
  if (method == "sgd") refuse_options(command, {"--hold-out"}, "goes with --method lbfgs or grid");
}

void run_probe(const ProbeFlags& flags) {
  const Device device = begin_command(flags.head.common);
  check_options_of_methods(*flags.head.command, flags.method);
  if (flags.method == "sgd") {
    if (is_from_files(flags.head) || flags.head.checkpoint == "pixels")
      throw UsageError("--method sgd augments images: give a checkpoint and a data source");
    SgdProbe sgd = flags.sgd;
    sgd.epochs = flags.epochs;
    return run_sgd_probe(flags.head, sgd, device);
  }
  flags.method == "grid" ? run_grid(flags, device) : run_lbfgs(flags, device);
}

}  // namespace

void add_probe(CLI::App& app) {
  auto flags = std::make_shared<ProbeFlags>();
  CLI::App* command =
      app.add_subcommand("probe", "accuracy of a linear classifier on frozen features");
  add_head_flags(*command, flags->head);
  command
      ->add_option(
          "--method", flags->method,
          "lbfgs: logistic regression; grid: DINOv2's grid of heads by SGD; sgd: one head on "
          "augmented images")
      ->capture_default_str()
      ->check(CLI::IsMember({"lbfgs", "grid", "sgd"}));
  command->add_option("--c", flags->c, "lbfgs: scikit-learn's C; the best of a path where absent")
      ->check(CLI::PositiveNumber);
  command->add_option("--path", flags->path, "lbfgs: values of C from 1e-6 to 1e5 (DINOv2: 45)")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_option("--tolerance", flags->tolerance, "lbfgs: of the gradient's largest component")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--max-iterations", flags->max_iterations, "lbfgs: at most so many")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  command
      ->add_option("--hold-out", flags->hold_out,
                   "part of the training samples that chooses C, or the head")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 0.9));
  command->add_option("--rates", flags->rates, "grid: base learning rates, for a batch of 256")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::PositiveNumber);
  command->add_option("--epochs", flags->epochs, "grid, sgd: passes over the training samples")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  command->add_option("--head-batch", flags->head_batch, "grid: samples a step")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  command->add_option("--rate", flags->sgd.rate, "sgd: learning rate, for a batch of 256")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->callback([flags] { run_probe(*flags); });
}

}  // namespace vit22b
