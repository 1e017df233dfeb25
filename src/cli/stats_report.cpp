#include "cli/stats_report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/json.h"
#include "core/text_table.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

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

Json whole_json(const Statistics& found) {
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

std::string four_digits(double value) {
  return std::isnan(value) ? "-" : formatted("%.4g", value);
}

std::string weights_text(const std::vector<BlockWeights>& blocks) {
  using enum TextTable::Align;
  TextTable rows({kRight, kRight, kRight, kRight, kRight});
  rows.add({"block", "norm", "spectral norm", "outlier ratio", "kurtosis"});
  for (size_t i = 0; i < blocks.size(); ++i)
    rows.add({std::to_string(i), four_digits(blocks[i].matrices.norm()),
              four_digits(blocks[i].spectral_norm), four_digits(blocks[i].matrices.outlier_ratio()),
              four_digits(blocks[i].matrices.kurtosis())});
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
    rows.add({std::to_string(i), four_digits(block.norms.mean()),
              four_digits(block.norms.largest()), four_digits(block.values.outlier_ratio()),
              four_digits(block.values.kurtosis()), std::to_string(block.patches.num_artefacts()),
              formatted("%.2f %%", 100 * block.patches.artefact_share()),
              formatted("%.2f", *low) + formatted(" to %.2f", *high),
              heads_text(block.dead_heads())});
  }
  std::string text = concat("what the blocks make of ", found.num_images, " images");
  if (!found.bad_samples.empty()) text += concat(", ", found.bad_samples.size(), " left out");
  return concat(text, "; entropy as a share of uniform attention's, least to most of the heads\n",
                rows.text());
}

}  // namespace

std::string statistics_json(const Statistics& found) {
  return whole_json(found).dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string statistics_text(const Statistics& found) {
  return weights_text(found.weights) +
         (found.activations ? activations_text(*found.activations) : "");
}

}  // namespace vit22b
