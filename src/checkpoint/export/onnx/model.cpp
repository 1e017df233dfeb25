#include "checkpoint/export/onnx/model.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "checkpoint/export/onnx/dense.h"
#include "core/error.h"
#include "data/pixel_range.h"
#include "model/dense/patch_maps.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;
using Metadata = std::vector<std::pair<std::string, std::string>>;

// Names that a text from outside may not have are replaced, not passed on.
std::string dumped(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

// What the transform says has a few digits; the rest is rounding.
double rounded(double value) {
  constexpr double kDigits = 1e9;
  return std::round(value * kDigits) / kDigits;
}

/// A field as a number, word or truth value, as configs have it; a text where it is none.
Json field_value(const std::string& text) {
  Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return value.is_discarded() ? Json(text) : value;
}

/// Mean and deviation of pixels from 0 to 1, a number a channel, as most libraries have them.
void add_pixels(const ModelInfo& info, Metadata& metadata) {
  const auto range = pixel_range(info.pp_eval);
  if (!range) return;
  Json mean = Json::array(), deviation = Json::array();
  const auto channels = static_cast<size_t>(info.config.in_chans);
  const auto of_channel = [](const std::vector<double>& values, size_t channel) {
    return values.size() == 1 ? values.front() : values.at(channel);
  };
  if (range->scale.size() != 1 && range->scale.size() != channels) return;
  for (size_t c = 0; c < channels; ++c) {
    const double white = 255 * of_channel(range->scale, c);
    mean.push_back(rounded(-of_channel(range->shift, c) / white));
    deviation.push_back(rounded(1 / white));
  }
  metadata.emplace_back("mean", dumped(mean));
  metadata.emplace_back("std", dumped(deviation));
}

Metadata metadata_of(const ModelInfo& info) {
  const ViTConfig& c = info.config;
  Json function = Json::object();
  for (const FunctionField& field : function_of(info))
    function[field.field] = field_value(field.value);
  Metadata metadata = {{"preprocessing", info.pp_eval}};
  add_pixels(info, metadata);
  metadata.emplace_back("image_size", dumped({c.img_size.height, c.img_size.width}));
  metadata.emplace_back("patch_size", std::to_string(c.patch_size));
  metadata.emplace_back("other_sizes", c.tokens.drop_edge
                                           ? "any of at least one patch; edges are left out"
                                           : "any multiples of the patch");
  if (c.num_classes > 0) metadata.emplace_back("label_names", dumped(info.label_names));
  if (info.segmentation) metadata.emplace_back("class_names", dumped(info.segmentation->names));
  metadata.emplace_back("function", dumped(function));
  return metadata;
}

std::vector<OnnxDim> dims(std::vector<OnnxDim> sides) {
  sides.insert(sides.begin(), "batch");
  return sides;
}

void add_outputs(OnnxGraph& graph, const OnnxOutputs& outputs, const ViTConfig& c) {
  graph.output(outputs.tokens_BTD, {"tokens", dims({"tokens", c.embed_dim})});
  if (c.has_pool()) graph.output(outputs.pooled_BD, {"pooled", dims({c.pooled_dim()})});
  if (c.has_head())
    graph.output(outputs.logits_BC,
                 {c.embeds_images() ? "image_embedding" : "logits", dims({c.head_outputs()})});
}

void add_scores(const OnnxOps& ops, const ImportedHead& head, const ViTConfig& c,
                const OnnxOutputs& outputs) {
  const std::vector<ParameterRow> rows = onnx_dense_rows(head.info, c);
  OnnxWeights weights(ops.graph(), rows, [values = head.weights](const ParameterRow& row) {
    return values.at(row.local_name);
  });
  const OnnxValue scores = onnx_dense_scores(ops, weights, head.info.head, c, outputs);
  weights.check_all_used();
  ops.graph().output(scores,
                     {"scores", dims({head.info.num_classes(), "score_rows", "score_columns"})});
}

}  // namespace

void check_onnx(const ViTConfig& c) {
  if (c.reads_words())
    throw UsageError("--to onnx: '", c.name,
                     "' reads words (model.vocab_size); text towers are not written yet");
  if (c.plex.has_members())
    throw UsageError("--to onnx: the last blocks of '", c.name,
                     "' are an ensemble's (model.batch_ensemble_blocks), which is not written yet");
  if (c.plex.is_heteroscedastic())
    throw UsageError("--to onnx: the logits of '", c.name,
                     "' are a mean over noise (model.head=heteroscedastic), which is not written "
                     "yet; --no-head leaves the classifier behind");
}

OnnxModel onnx_model(const ModelInfo& info, const std::vector<ParameterRow>& table,
                     const WholeTensor& whole, const ImportedHead* head) {
  const ViTConfig& c = info.config;
  check_onnx(c);
  OnnxModel model{{}, c.name, metadata_of(info)};
  const OnnxOps ops(model.graph);
  const OnnxValue images = model.graph.input({"images", dims({c.in_chans, "height", "width"})});
  OnnxWeights weights(model.graph, table, whole);
  const OnnxOutputs outputs =
      onnx_vit(ops, weights, c, images,
               head != nullptr ? PatchMaps(c, head->info.head).taps() : std::set<int64_t>());
  weights.check_all_used();
  add_outputs(model.graph, outputs, c);
  if (head != nullptr) add_scores(ops, *head, c, outputs);
  return model;
}

}  // namespace vit22b
