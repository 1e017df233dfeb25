#include "eval/load_predictor.h"

#include "core/error.h"
#include "core/log.h"
#include "data/imagenet.h"
#include "store/file_source.h"
#include "store/generated.h"
#include "store/resident.h"
#include "store/streamed.h"

namespace vit22b {
namespace {

// In which dtype a store may hold matrices: the products' own.
at::ScalarType matrix_type(const PredictorOptions& options) {
  const at::ScalarType compute_type = precision_type(options.precision);
  return make_engine(options.engine)->rounds_weights(compute_type) ? compute_type : at::kFloat;
}

// A source's weights kept in memory, or `passing_on` it anew in every pass.
std::unique_ptr<WeightStore> make_store(const std::vector<ParameterRow>& table,
                                        std::unique_ptr<WeightSource> source,
                                        const PredictorOptions& options, const std::string& store,
                                        const std::string& passing_on) {
  if (store == "resident")
    return std::make_unique<ResidentStore>(table, *source, matrix_type(options),
                                           torch_device(options.device));
  if (store != passing_on)
    throw UsageError("store '", store, "': these weights are resident or ", passing_on);
  return std::make_unique<StreamedStore>(table, std::move(source), matrix_type(options),
                                         torch_device(options.device));
}

// timm's folders name their classes rarely, their tags nearly always.
void add_imagenet_names(NamedModel& model) {
  ModelInfo& info = model.info;
  if (!info.tag) return;
  auto classes = imagenet_classes({*info.tag, info.config.num_classes});
  if (!classes) return;
  if (info.label_names.empty()) info.label_names = std::move(classes->names);
  model.wnids = std::move(classes->wnids);
}

}  // namespace

NamedModel read_named_model(const CheckpointPath& checkpoint) {
  NamedModel model{read_model_info(checkpoint), {}};
  add_imagenet_names(model);
  return model;
}

namespace {

// What was taken of another library's checkpoint, whose files say only a part of it.
void tell_function(const ModelInfo& info) {
  if (info.family == "vit22b" || info.family == "timm") return;
  std::vector<std::string> said;
  if (const auto weights = info.origins.find("weights"); weights != info.origins.end())
    said.push_back("weights: " + weights->second);
  for (const auto& [field, value, from] : function_of(info))
    if (info.origins.count(field) != 0) said.push_back(concat(field, " ", value, " (", from, ")"));
  log_info(concat(info.family, ": ", join(said, "; ")));
}

}  // namespace

LoadedModel load_predictor(const std::filesystem::path& checkpoint,
                           const PredictorOptions& options) {
  LoadedModel model;
  model.checkpoint = resolve_checkpoint(checkpoint);
  static_cast<NamedModel&>(model) = read_named_model(model.checkpoint);
  tell_function(model.info);
  const std::vector<ParameterRow> table = parameter_table(model.info.config);
  PredictorOptions how = options;
  how.any_size |= model.info.any_size;
  model.predictor = std::make_unique<VitPredictor>(
      model.info.config,
      make_store(table, std::make_unique<FileSource>(model.checkpoint, table), options,
                 options.store, "streamed"),
      how);
  return model;
}

LoadedModel fresh_predictor(const ViTConfig& config, uint64_t seed, const PredictorOptions& options,
                            const std::string& store) {
  LoadedModel model;
  model.info = {config, default_pp_eval(config), {}};
  model.predictor = std::make_unique<VitPredictor>(
      config,
      make_store(parameter_table(config), std::make_unique<GeneratedSource>(seed), options, store,
                 "generated"),
      options);
  return model;
}

}  // namespace vit22b
