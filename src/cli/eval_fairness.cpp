#include <CLI/CLI.hpp>

#include "cli/eval_measures.h"
#include "cli/head_command.h"
#include "cli/result_output.h"
#include "core/error.h"
#include "core/watch.h"
#include "data/sources/image_list.h"
#include "data/splits.h"
#include "measure/fairness.h"
#include "measure/named_rows.h"
#include "measure/picture_attributes.h"
#include "transfer/logistic.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using Part = PictureAttributes::Part;

struct FairnessFlags {
  const CLI::App* command = nullptr;  ///< which options were given
  CommonFlags common;
  HeadFlags head;  ///< of a checkpoint's features
  std::string attributes, pictures, partition;
  double c = 1;
  std::string table, fit_part = "50%";
  FairnessColumns columns;
  FairnessOptions options;
};

/// A checkpoint's frozen features of the pictures of one part.
struct PartFeatures {
  at::Tensor features_ND, labels_N;
  std::vector<std::string> groups;
};

PartFeatures features_of(const FairnessFlags& flags, const PictureAttributes& attributes, Part part,
                         FeatureExtractor& extractor) {
  const fs::path root =
      flags.pictures.empty() ? fs::path(flags.attributes).parent_path() : fs::path(flags.pictures);
  const std::vector<int64_t> rows = attributes.rows(part);
  if (rows.empty())
    throw DataError(attributes.place, ": parts by ", attributes.parts_by, " leave none to ",
                    part == Part::kTrain ? "train"
                    : part == Part::kFit ? "fit thresholds"
                                         : "test");
  std::vector<std::string> files;
  files.reserve(rows.size());
  for (const int64_t row : rows)
    files.push_back((root / attributes.pictures[static_cast<size_t>(row)]).string());
  const std::unique_ptr<DataSource> source = make_image_list(std::move(files));
  const FeatureTable table = make_features(flags.head, extractor, *source);
  std::vector<int64_t> labels;
  PartFeatures made{table.all(flags.head.feature), {}, {}};
  for (int64_t i = 0; i < table.size(); ++i) {  // bad pictures are left out
    const auto row =
        static_cast<size_t>(rows[static_cast<size_t>(table.indices()[i].item<int64_t>())]);
    labels.push_back(attributes.labels[row] ? 1 : 0);
    made.groups.push_back(attributes.groups[row]);
  }
  made.labels_N = at::tensor(labels, at::kLong);
  return made;
}

FairnessTable judged(const LinearHead& head, const PartFeatures& part, const std::string& place) {
  const at::Tensor scores_N =
      at::softmax(head.scores(part.features_ND), 1).select(1, 1).contiguous();
  const double* scores = scores_N.const_data_ptr<double>();
  const auto* labels = part.labels_N.const_data_ptr<int64_t>();
  FairnessTable table{.place = place, .decisions_from = "logistic regression, chance >= 0.5"};
  for (int64_t i = 0; i < scores_N.size(0); ++i) {
    table.scores.push_back(scores[i]);
    table.predictions.push_back(table.scores.back() >= 0.5);
    table.labels.push_back(labels[i] != 0);
  }
  NumberedGroups numbered = number_groups(part.groups);
  table.group_names = std::move(numbered.names), table.groups = std::move(numbered.numbers);
  return table;
}

/// Frozen features, logistic regression, decisions on other pictures, thresholds fitted to further
/// ones.
Result fairness_of_model(const FairnessFlags& flags, const FairnessOptions& options) {
  const Device device = begin_command(flags.common);
  PictureAttributes attributes =
      read_picture_attributes(flags.attributes, flags.columns.label, flags.columns.group);
  if (!flags.partition.empty()) read_partition(flags.partition, attributes);
  if (attributes.parts.empty()) draw_parts(attributes, options.seed);
  const auto extractor = make_extractor(flags.head, device, {flags.head.feature});
  const PartFeatures train = features_of(flags, attributes, Part::kTrain, *extractor),
                     fit = features_of(flags, attributes, Part::kFit, *extractor),
                     test = features_of(flags, attributes, Part::kTest, *extractor);
  if (train.labels_N.min().equal(train.labels_N.max()))
    throw DataError(attributes.place, ": all training pictures have one ", flags.columns.label);
  const LinearHead head =
      fit_logistic(train.features_ND, train.labels_N, 2, flags.c, {.watch = watch_signals()}).head;
  const FairnessTable of_fit = judged(head, fit, attributes.place);
  Result result = measure_fairness(judged(head, test, attributes.place), options, &of_fit);
  result.settings.insert(result.settings.begin(), {{"attributes", flags.attributes},
                                                   {"label", flags.columns.label},
                                                   {"group", flags.columns.group},
                                                   {"parts_by", attributes.parts_by},
                                                   {"num_train", train.labels_N.size(0)},
                                                   {"c", flags.c}});
  result.provenance.checkpoint = flags.head.checkpoint;
  result.provenance.command = "vit22b " + join(command_words(), " ");
  return result;
}

void check_fairness_flags(const FairnessFlags& flags) {
  const bool is_of_model = !flags.head.checkpoint.empty();
  if (is_of_model == !flags.table.empty())
    throw UsageError("give --table FILE of decisions, or a checkpoint and --attributes FILE");
  if (is_of_model && flags.attributes.empty())
    throw UsageError("a checkpoint goes with --attributes FILE, such as list_attr_celeba.txt");
  if (is_of_model)
    refuse_options(*flags.command, {"--prediction", "--score", "--fit-part"}, "is of a --table");
  else
    refuse_options(*flags.command,
                   {"--attributes", "--pictures", "--partition", "--c", "--cache", "--feature",
                    "--batch", "--workers", "--max-bad-fraction", "--max-pixels", "--device",
                    "--precision", "--engine", "--store"},
                   "goes with a checkpoint");
}

void run_fairness(FairnessFlags flags) {
  check_fairness_flags(flags);
  FairnessOptions options = flags.options;
  const auto part = percent(flags.fit_part);
  if (!part) throw UsageError("--fit-part ", flags.fit_part, ": want a share such as 50%");
  options.fit_part = *part;
  options.seed = static_cast<uint64_t>(flags.common.seed);
  if (!flags.head.checkpoint.empty()) {
    flags.head.common = flags.common;
    return tell_result(flags.common, fairness_of_model(flags, options));
  }
  begin_command(flags.common);
  FairnessColumns columns = flags.columns;
  columns.is_prediction_named = flags.command->count("--prediction") > 0;
  columns.is_score_named = flags.command->count("--score") > 0;
  Result result = measure_fairness(read_fairness_table(flags.table, columns), options);
  result.settings.insert(result.settings.begin(), {"table", flags.table});
  tell_result(flags.common, result);
}

}  // namespace

void add_eval_fairness(CLI::App& eval) {
  auto fairness = std::make_shared<FairnessFlags>();
  CLI::App* command =
      eval.add_subcommand("fairness", "accuracy and rates by group, gaps, randomised thresholds");
  fairness->command = command;
  command->add_option("checkpoint", fairness->head.checkpoint,
                      "checkpoint whose frozen features are classified by logistic regression");
  command->add_option("--table", fairness->table,
                      "instead of a checkpoint: CSV or TSV with a row a sample");
  command->add_option("--attributes", fairness->attributes,
                      "with a checkpoint: CelebA's list_attr_celeba.txt, or a CSV or TSV with a "
                      "column `filepath` (or image_id) and attributes, a row a picture");
  command->add_option("--pictures", fairness->pictures,
                      "folder of its pictures; the file's own by default");
  command->add_option("--partition", fairness->partition,
                      "CelebA's list_eval_partition.txt, or a CSV; the table's `split` by default, "
                      "else half of the pictures train, a quarter each fit thresholds and test");
  command->add_option("--c", fairness->c, "scikit-learn's C of the regression")
      ->capture_default_str()
      ->check(above_zero);
  command->add_option("--feature", fairness->head.feature, "pooled, mean, logits or block.N")
      ->capture_default_str();
  command->add_option("--cache", fairness->head.cache, "folder of cached features");
  add_pixel_flags(*command, fairness->head.pixels);
  add_loader_flags(*command, fairness->head.loader);
  command
      ->add_option("--label", fairness->columns.label, "its column of the truth (such as Smiling)")
      ->capture_default_str();
  command->add_option("--prediction", fairness->columns.prediction, "of the decisions")
      ->capture_default_str();
  command->add_option("--score", fairness->columns.score, "of the chances of the positive class")
      ->capture_default_str();
  command->add_option("--group", fairness->columns.group, "of the groups (such as Male)")
      ->capture_default_str();
  command
      ->add_option("--fit-part", fairness->fit_part,
                   "part of each group that randomised thresholds are fitted to")
      ->capture_default_str();
  command->add_option("--gamma", fairness->options.gamma, "how much thresholds leave to chance")
      ->capture_default_str()
      ->check(CLI::Range(1e-6, 2.0));
  add_common_flags(*command, fairness->common, kDevice | kPrecision | kStore | kSeed | kOut | kJson,
                   "also write the JSON result here");
  command->callback([fairness] { run_fairness(*fairness); });
}

}  // namespace vit22b
