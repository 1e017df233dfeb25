#include "cli/model_stats.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "checkpoint/text_side.h"
#include "cli/checkpoint_flags.h"
#include "cli/measured_model.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "core/text_table.h"
#include "measure/activation_statistics.h"
#include "measure/weight_statistics.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

struct StatsFlags {
  const CLI::App* command = nullptr;
  CommonFlags common;
  std::string checkpoint, images, tower = "image";
  std::vector<std::string> given;
  LoaderFlags loader{.batch = 8,
                     .max_bad_fraction = 1};  // what cannot be read is told and left out
};

/// Everything that is told of a checkpoint.
struct Statistics {
  std::string checkpoint;
  std::vector<BlockWeights> weights;
  std::optional<ActivationStatistics> activations;
};

Json moments_json(const metrics::Moments& values) {
  return {{"norm", number_or_null<Json>(values.norm())},
          {"outlier_ratio", number_or_null<Json>(values.outlier_ratio())},
          {"kurtosis", number_or_null<Json>(values.kurtosis())}};
}

Json weights_json(const BlockWeights& block) {
  Json json = moments_json(block.matrices), parameters = Json::array();
  json["spectral_norm"] = number_or_null<Json>(block.spectral_norm);
  for (const ParameterStatistics& parameter : block.parameters) {
    Json& one = parameters.emplace_back(Json{{"name", parameter.name}});
    one.update(moments_json(parameter.values));
    one["spectral_norm"] = number_or_null<Json>(parameter.spectral_norm);
  }
  json["parameters"] = parameters;
  return json;
}

Json numbers_json(const std::vector<double>& numbers) {
  Json json = Json::array();
  for (const double number : numbers) json.push_back(number_or_null<Json>(number));
  return json;
}

void add_activations(const BlockActivations& block, Json& json) {
  json["entropy"] = numbers_json(block.entropy());
  json["entropy_share"] = numbers_json(block.entropy_share());
  json["dead_heads"] = block.dead_heads();
  json["tokens"] = {{"norm", number_or_null<Json>(block.norms.mean())},
                    {"largest_norm", number_or_null<Json>(block.norms.largest())},
                    {"prefix_norm", number_or_null<Json>(block.prefix_norms.mean())},
                    {"outlier_ratio", number_or_null<Json>(block.values.outlier_ratio())},
                    {"kurtosis", number_or_null<Json>(block.values.kurtosis())}};
  json["artefacts"] = {{"count", block.patches.num_artefacts()},
                       {"share", number_or_null<Json>(block.patches.artefact_share())},
                       {"images", block.patches.num_pictures_with()},
                       {"largest_ratio", number_or_null<Json>(block.patches.largest_ratio())}};
}

Json definitions_json(bool has_activations) {
  Json json = {
      {"norm", "Frobenius, of the values of a block's matrices together"},
      {"spectral_norm", "the largest singular value; of a block the largest of its matrices"},
      {"outlier_ratio", "the largest magnitude over the root mean square"},
      {"kurtosis", "fourth central moment over the second's square; 3 of a normal distribution"}};
  if (!has_activations) return json;
  json["tokens"] =
      "of the block's raw output; norm: mean length of all tokens, prefix_norm of class "
      "token and registers; outlier_ratio and kurtosis of all values";
  json["entropy"] = "of attention, -sum p ln p in nats, by head: mean over queries and images";
  json["entropy_share"] = "of ln(number of tokens)";
  json["dead_heads"] = concat(
      "heads whose weights say nothing of the query: entropy of their mean over queries less "
      "their entropy, below ",
      kDeadShare, " of ln(number of tokens)");
  json["artefacts"] = concat("patch tokens longer than ", metrics::kArtefactRatio,
                             " times the median of their image's");
  return json;
}

Json statistics_json(const Statistics& found) {
  Json json = {{"checkpoint", found.checkpoint}}, blocks = Json::array();
  for (size_t i = 0; i < found.weights.size(); ++i) {
    Json& block = blocks.emplace_back(Json{{"block", i}});
    block.update(weights_json(found.weights[i]));
    if (found.activations)
      add_activations(found.activations->blocks[i], block);
    else
      block["entropy"] = nullptr;
  }
  json["blocks"] = blocks;
  json["definitions"] = definitions_json(found.activations.has_value());
  if (!found.activations) return json;
  json["num_images"] = found.activations->num_images;
  json["bad_samples"] = Json::array();
  for (const BadSample& bad : found.activations->bad_samples)
    json["bad_samples"].push_back({{"id", bad.id}, {"reason", bad.reason}});
  return json;
}

std::string short_number(double value) {
  return std::isnan(value) ? "-" : formatted("%.4g", value);
}

std::string weights_text(const std::vector<BlockWeights>& blocks) {
  using enum TextTable::Align;
  TextTable rows({kRight, kRight, kRight, kRight, kRight});
  rows.add({"block", "norm", "spectral norm", "outlier ratio", "kurtosis"});
  for (size_t i = 0; i < blocks.size(); ++i)
    rows.add({std::to_string(i), short_number(blocks[i].matrices.norm()),
              short_number(blocks[i].spectral_norm),
              short_number(blocks[i].matrices.outlier_ratio()),
              short_number(blocks[i].matrices.kurtosis())});
  return "weights of the blocks' matrices\n" + rows.text();
}

std::string heads_text(const std::vector<int64_t>& heads) {
  std::vector<std::string> words;
  words.reserve(heads.size());
  for (const int64_t head : heads) words.push_back(std::to_string(head));
  return join(words, " ");
}

std::string activations_text(const ActivationStatistics& found) {
  using enum TextTable::Align;
  TextTable rows({kRight, kRight, kRight, kRight, kRight, kRight, kRight, kRight, kLeft});
  rows.add({"block", "token norm", "largest", "outlier ratio", "kurtosis", "artefacts", "share",
            "entropy", "dead heads"});
  for (size_t i = 0; i < found.blocks.size(); ++i) {
    const BlockActivations& block = found.blocks[i];
    const std::vector<double> shares = block.entropy_share();
    const auto [low, high] = std::minmax_element(shares.begin(), shares.end());
    rows.add({std::to_string(i), short_number(block.norms.mean()),
              short_number(block.norms.largest()), short_number(block.values.outlier_ratio()),
              short_number(block.values.kurtosis()), std::to_string(block.patches.num_artefacts()),
              formatted("%.2f %%", 100 * block.patches.artefact_share()),
              formatted("%.2f", *low) + formatted(" to %.2f", *high),
              heads_text(block.dead_heads())});
  }
  std::string text = concat("what the blocks make of ", found.num_images, " images");
  if (!found.bad_samples.empty()) text += concat(", ", found.bad_samples.size(), " left out");
  return concat(text, "; entropy as a share of uniform attention's, least to most of the heads\n",
                rows.text());
}

ActivationStatistics of_images(const StatsFlags& flags, const std::string& checkpoint,
                               const Device& device) {
  const std::shared_ptr<const DataSource> source = open_pictures(flags.images);
  LoadedModel model = load_predictor(checkpoint, predictor_options(flags.common, device));
  ActivationStatistics found = activation_statistics(
      model, *source,
      eval_options(flags.loader, flags.common.is_quiet, "pictures", source->size()));
  for (const BadSample& bad : found.bad_samples) log_warn(left_out_text(bad));
  return found;
}

void run_model_stats(const StatsFlags& flags) {
  const Device device = begin_command(flags.common);
  const std::string checkpoint =
      flags.checkpoint + (flags.given.empty() ? "" : "?" + join(flags.given, "&"));
  Statistics found{.checkpoint = checkpoint, .weights = {}, .activations = {}};
  CheckpointPath place = resolve_checkpoint(checkpoint);
  ViTConfig config = read_model_info(place).config;
  if (flags.tower == "text") {
    if (!flags.images.empty()) throw UsageError("--images: the text tower sees none");
    const TextSide text = read_text_side(place);
    place = text.place, config = text.config;
  }
  if (!flags.images.empty())
    found.activations = of_images(flags, checkpoint, device);
  else
    refuse_options(*flags.command,
                   {"--batch", "--workers", "--max-bad-fraction", "--max-pixels", "--device",
                    "--precision", "--engine", "--store"},
                   "goes with --images");
  const std::vector<ParameterRow> table = parameter_table(config);
  found.weights = weight_statistics(
      TensorReader(place, table), table,
      watch_with_progress("parameters", std::ssize(table), flags.common.is_quiet));
  std::string text = weights_text(found.weights);
  if (found.activations) text += activations_text(*found.activations);
  const std::string json =
      statistics_json(found).dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
  print_and_store(flags.common.is_json ? json : text, [&] {
    FileOps ops;
    if (!flags.common.out.empty()) write_text(ops, flags.common.out, json);
  });
}

}  // namespace

void add_model_stats(CLI::App& group) {
  auto flags = std::make_shared<StatsFlags>();
  CLI::App* stats = group.add_subcommand(
      "stats", "how each block's weights, tokens and attention are spread: outliers, dead heads");
  flags->command = stats;
  stats->add_option("checkpoint", flags->checkpoint, "checkpoint, run folder or file of weights")
      ->required();
  stats->add_option("given", flags->given, "what the files do not say, as num_heads=12");
  stats->add_option("--images", flags->images,
                    "SRC or folder of pictures: also what the blocks make of them, tokens' norms, "
                    "artefacts, attention's entropy");
  stats->add_option("--tower", flags->tower, "image, or text of a two-tower checkpoint")
      ->capture_default_str()
      ->check(CLI::IsMember({"image", "text"}));
  add_loader_flags(*stats, flags->loader);
  add_common_flags(*stats, flags->common, kDevice | kPrecision | kStore | kOut | kJson,
                   "also write the JSON result here");
  stats->callback([flags] { run_model_stats(*flags); });
}

}  // namespace vit22b
