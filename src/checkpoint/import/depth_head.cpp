#include "checkpoint/import/depth_head.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "checkpoint/import/depth_given.h"
#include "checkpoint/import/depth_names.h"
#include "checkpoint/import/given.h"
#include "checkpoint/import/hf.h"
#include "checkpoint/model_writer.h"
#include "checkpoint/tensor_reader.h"
#include "checkpoint/weights.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "data/preprocessing.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kNoLeastDepth = 1e-6;   // metres: what has none in its library
constexpr double kFarthestTruth = 1000;  // metres that relative numbers are compared with
constexpr size_t kProcessorLimit = 1 << 20;

std::string texts(const std::vector<int64_t>& numbers) {
  std::vector<std::string> parts;
  parts.reserve(numbers.size());
  for (const int64_t number : numbers) parts.push_back(std::to_string(number));
  return join(parts, ",");
}

/// A list of a config's, or what the class has.
std::vector<int64_t> numbers_of(const Json& json, const char* key, std::vector<int64_t> otherwise) {
  if (!json.contains(key) || json.at(key).is_null()) return otherwise;
  std::vector<int64_t> numbers;
  numbers.reserve(json.at(key).size());
  for (const Json& number : json.at(key)) numbers.push_back(whole_number(number));
  return numbers;
}

/// A value that is of its type where it is said at all.
template <class T>
T value_of(const Json& json, const char* key, T otherwise, bool (*is_right)(const Json&),
           const char* want) {
  if (!json.contains(key) || json.at(key).is_null()) return otherwise;
  if (!is_right(json.at(key))) throw UsageError(key, " is ", json.at(key).dump(), ", want ", want);
  return json.at(key).get<T>();
}

bool flag_of(const Json& json, const char* key, bool otherwise) {
  return value_of<bool>(
      json, key, otherwise, [](const Json& j) { return j.is_boolean(); }, "true or false");
}

std::string word_of(const Json& json, const char* key, const std::string& otherwise) {
  return value_of<std::string>(
      json, key, otherwise, [](const Json& j) { return j.is_string(); }, "a word");
}

/// The blocks of a backbone's stages: "stage3" and index 3 are block 2, of which 0 is none.
std::vector<int64_t> backbone_blocks(const Json& backbone, int64_t depth,
                                     const std::string& place) {
  std::vector<int64_t> stages = numbers_of(backbone, "out_indices", {});
  if (backbone.contains("out_features") && backbone.at("out_features").is_array()) {
    stages.clear();
    for (const Json& name : backbone.at("out_features")) {
      const std::string text = name.is_string() ? name.get<std::string>() : "";
      int64_t stage = 0;
      const char* end = text.data() + text.size();
      if (text.starts_with("stage") && std::from_chars(text.data() + 5, end, stage).ptr != end)
        stage = 0;
      stages.push_back(stage);
    }
    const std::vector<int64_t> indices = numbers_of(backbone, "out_indices", stages);
    for (size_t i = 0; i < std::max(indices.size(), stages.size()); ++i)
      if (indices.size() != stages.size() ||
          (indices[i] < 0 ? indices[i] + depth + 1 : indices[i]) != stages[i])
        throw CheckpointError(place,
                              ": backbone_config's out_features and out_indices say two "
                              "things");
  }
  std::vector<int64_t> blocks;
  blocks.reserve(stages.size());
  for (const int64_t stage : stages) blocks.push_back((stage < 0 ? stage + depth + 1 : stage) - 1);
  const bool is_right = blocks.size() == 4 && std::is_sorted(blocks.begin(), blocks.end()) &&
                        blocks.front() >= 0 && blocks.back() < depth;
  if (!is_right)
    throw CheckpointError(
        place, ": backbone_config says the outputs ",
        backbone.value("out_features", backbone.value("out_indices", Json())).dump(),
        ", want four of its ", depth, " stages from the lowest to the last");
  return blocks;
}

/// What the config of a model of transformers' cannot be otherwise, here.
void check_known(const Json& config, const std::string& place) {
  const auto refuse = [&](const char* key, const Json& got, const char* want) {
    throw CheckpointError(place, ": ", key, " is ", got.dump(), ", only ", want, " is read");
  };
  const Json factors = config.value("reassemble_factors", Json({4, 2, 1, 0.5}));
  std::vector<double> values;
  if (factors.is_array())
    for (const Json& factor : factors)
      values.push_back(factor.is_number() ? factor.get<double>() : 0);
  if (values != std::vector<double>{4, 2, 1, 0.5})
    refuse("reassemble_factors", factors, "[4, 2, 1, 0.5]");
  const Json index = config.value("head_in_index", Json(-1));
  if (index != Json(-1) && index != Json(3)) refuse("head_in_index", index, "-1");
}

DenseHeadConfig hf_head(const ImportFiles& files, const ViTConfig& model) {
  const Json& config = *files.whole;
  const bool is_dpt = word_of(config, "model_type", "") == "dpt";
  check_known(config, files.config_place);
  DenseHeadConfig head;
  head.head = "dpt";
  head.readout = is_dpt ? word_of(config, "readout_type", "project") : "ignore";
  head.sizes = is_dpt ? "double" : "pixels";
  head.channels = config.contains("fusion_hidden_size")
                      ? whole_number(config.at("fusion_hidden_size"))
                      : (is_dpt ? 256 : 64);
  head.level_channels = texts(numbers_of(
      config, "neck_hidden_sizes",
      is_dpt ? std::vector<int64_t>{96, 192, 384, 768} : std::vector<int64_t>{48, 96, 192, 384}));
  if (!is_dpt && config.contains("head_hidden_size"))
    head.last_channels = whole_number(config.at("head_hidden_size"));
  head.projection = is_dpt && flag_of(config, "add_projection", false);
  const Json backbone = config.value("backbone_config", Json());
  if (!backbone.is_object()) {  // DPT's own ViT
    head.layers = texts(numbers_of(config, "backbone_out_indices", {2, 5, 8, 11}));
    head.norm = false;
    const std::string activation = word_of(config, "hidden_act", "gelu");
    if (head.readout == "project" && activation != "gelu")
      throw CheckpointError(files.config_place, ": hidden_act is '", activation,
                            "' behind the readout, only gelu is read");
    return head;
  }
  head.layers = texts(backbone_blocks(backbone, model.depth, files.config_place));
  head.norm = flag_of(backbone, "apply_layernorm", true);
  return head;
}

DepthInfo hf_depth(const ImportFiles& files, const ViTConfig& model) {
  const Json& config = *files.whole;
  DepthInfo info{hf_head(files, model), {}};
  info.output.upsample = 1;
  info.output.min_depth = kNoLeastDepth;
  info.output.output = "relative";
  info.output.max_depth = kFarthestTruth;
  if (word_of(config, "model_type", "") == "dpt") {
    apply_given_depth(files, {"output", "max_depth", "min_depth"}, info);
    if (info.output.output == "bins" || info.output.output == "log" ||
        info.output.output == "sigmoid")
      throw UsageError("depth.output=", info.output.output,
                       " is given; a DPT of transformers' has metres or relative numbers");
    return info;
  }
  const std::string type = word_of(config, "depth_estimation_type", "relative");
  if (type != "relative" && type != "metric")
    throw CheckpointError(files.config_place, ": depth_estimation_type is '", type,
                          "', want relative or metric");
  if (type == "metric") {
    info.output.output = "sigmoid";
    info.output.max_depth = value_of<double>(
        config, "max_depth", 0, [](const Json& j) { return j.is_number(); }, "metres");
    if (!(info.output.max_depth > 0))
      throw CheckpointError(files.config_place, ": a metric model without max_depth");
  }
  apply_given_depth(files, {}, info);
  return info;
}

/// Of the authors' files, whose names say the head's parts and whose shapes its widths.
DepthInfo state_dict_depth(const ImportFiles& files, const DepthNames& names,
                           const TensorContainer& all) {
  DepthInfo info;
  info.head = names.described(all);
  info.output.upsample = 1;
  info.output.min_depth = kNoLeastDepth;
  info.output.max_depth = kFarthestTruth;  // of others it has to be given
  apply_given_depth(files, {"layers", "output", "max_depth", "min_depth"}, info);
  return info;
}

/// What pictures the authors' code shows to them.
void show_pictures(const DepthNames& names, ModelInfo& info) {
  const bool is_depth_anything = names.is_depth_anything;
  const PixelScale& scale = is_depth_anything ? kImageNetScale : kAroundHalf;
  Preprocessing p;
  p.channels = 3;
  p.is_pil = true;
  p.interpolation = "bicubic";
  p.resize = Preprocessing::Resize::kMultiple;
  p.resize_height = p.resize_width = is_depth_anything ? 518 : 384;
  p.resize_multiple = is_depth_anything ? info.config.patch_size : 32;
  p.mean.assign(scale.mean.begin(), scale.mean.end());
  p.stddev.assign(scale.stddev.begin(), scale.stddev.end());
  info.pp_eval = p.text();
  if (!is_depth_anything) info.config.tokens.posemb_resize = "bilinear";
  note_origin(info, "pp_eval", "the authors' code, by PIL's bicubic in place of OpenCV's");
}

bool is_of_hf(const ImportFiles& files) {
  if (files.whole == nullptr) return false;
  const std::string type = word_of(*files.whole, "model_type", "");
  return type == "dpt" || type == "depth_anything";
}

}  // namespace

void take_depth_head(const ImportFiles& files, ModelInfo& info) {
  if (is_of_hf(files)) {
    info.depth = hf_depth(files, info.config);
    const std::filesystem::path processor = files.checkpoint.folder / "preprocessor_config.json";
    if (std::filesystem::exists(processor)) {
      const Json json =
          parse_json<Json>(read_text(processor, ExitCode::kCheckpoint, kProcessorLimit),
                           processor.string(), ExitCode::kCheckpoint);
      info.depth->is_padded_around = flag_of(json, "do_pad", false);
      const Json divisor = json.value("size_divisor", Json());
      if (info.depth->is_padded_around && divisor.is_number() &&
          divisor != Json(info.config.patch_size))
        throw CheckpointError(processor.string(), ": size_divisor is ", divisor.dump(),
                              ", only the patch, ", info.config.patch_size, ", is read");
    }
  } else if (!files.names.empty() && files.checkpoint.tower.empty()) {
    const TensorContainer all = open_all_weights(files.checkpoint);
    if (const DepthNames* names = depth_names_of(all)) {
      show_pictures(*names, info);
      info.depth = state_dict_depth(files, *names, all);
    }
  }
  if (!info.depth && !given_of_depth(files).empty())
    throw UsageError("depth.", given_of_depth(files).begin()->first,
                     " is given, but there is no head that it could be said of");
  if (!info.depth || info.family == "vit22b") return;
  info.depth->head.check();
  info.depth->output.check();
  info.depth->head.blocks(info.config.depth);
  info.any_size = true;
  info.label_names.clear();
  note_origin(info, "depth", files.config_place);
}

NamedTensors load_depth_head(const CheckpointPath& checkpoint, const DepthInfo& info,
                             const ViTConfig& model) {
  if (std::filesystem::exists(checkpoint.folder / kTaskFile))
    return load_dense_head(checkpoint, depth_rows(info, model));
  const TensorContainer all = open_all_weights(checkpoint);
  const DepthNames* names = depth_names_of(all);
  if (names == nullptr)
    throw CheckpointError(all.place().string(), " holds no head that says how far every pixel is");
  NamedTensors weights = names->load(all, depth_rows(info, model));
  if (!info.head.norm) return weights;
  const std::vector<ParameterRow> table = parameter_table(model);
  const TensorReader reader(checkpoint, table);
  NamedTensors final_norm;
  for (const ParameterRow& row : table)
    if (row.unit.kind == UnitKind::kFinalNorm) final_norm[row.local_name] = reader.whole(row);
  take_final_norm_in(final_norm, info.head, model.depth, weights);
  return weights;
}

}  // namespace vit22b
