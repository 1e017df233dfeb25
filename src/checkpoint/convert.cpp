#include "checkpoint/convert.h"

#include <set>

#include "checkpoint/adapters.h"
#include "checkpoint/converted_files.h"
#include "checkpoint/import/depth_head.h"
#include "checkpoint/import/dinov2_head.h"
#include "core/error.h"
#include "core/log.h"
#include "data/pixel_range.h"

namespace vit22b {
namespace {

/// How position tables are resized by who reads a format that does not say it.
constexpr std::pair<std::string_view, std::string_view> kResizes[] = {{"timm", "bicubic_antialias"},
                                                                      {kNpzFormat, "bilinear"}};

/// The model as it is written: whole, and of images.
ModelInfo written_info(ModelInfo info, const CheckpointPath& from, const ConvertOptions& options) {
  if (info.text || info.config.reads_words())
    throw UsageError(from.path().string(), " has a text tower beside its images; such folders are ",
                     "not written yet");
  info.config.adapters = {};
  info.base.reset();
  if (options.has_no_head && info.config.plex.has_members())
    throw UsageError(from.path().string(),
                     " is an ensemble in its last blocks, whose members have ",
                     "nothing in common without its head; --no-head is of other models");
  if (options.has_no_head) {
    info.config.num_classes = 0;
    info.config.plex.head = "linear";
    info.label_names.clear();
  }
  if (options.format == "hf" && info.config.num_classes > 0)
    throw UsageError("--to hf: its families' image towers are written without a classifier; ",
                     "--no-head leaves it behind");
  for (const auto& [format, resize] : kResizes)
    if (options.format == format) info.config.tokens.posemb_resize = resize;
  return info;
}

/// The head of every pixel that goes with the model, if there is one.
std::optional<ImportedHead> pixel_head(const CheckpointPath& from, const TensorReader& source,
                                       const ModelInfo& info, const ConvertOptions& options) {
  if (options.pixel_head.empty() && !info.segmentation) return std::nullopt;
  if (!options.format.empty() && options.format != kOnnxFormat) {
    if (!options.pixel_head.empty())
      throw UsageError("--pixel-head goes into our own folders; --to ", options.format,
                       " has no place for it");
    log_warn(concat("the head of every pixel is left behind: --to ", options.format,
                    " has no place for it"));
    return std::nullopt;
  }
  if (options.pixel_head.empty())
    return ImportedHead{*info.segmentation,
                        load_segmentation_head(from, *info.segmentation, info.config)};
  NamedTensors final_norm;
  for (const ParameterRow& row : parameter_table(info.config))
    if (row.unit.kind == UnitKind::kFinalNorm) final_norm[row.local_name] = source.whole(row);
  return read_dinov2_head(options.pixel_head, info.config, final_norm, options.pixel_names);
}

/// The head that says how far every pixel is, by local name; none, and none said of, where the
/// format has no place for it.
NamedTensors depth_head_of(const CheckpointPath& from, ModelInfo& info,
                           const ConvertOptions& options,
                           const std::optional<ImportedDepthHead>& given) {
  if (given && !options.format.empty())
    throw UsageError("--pixel-head goes into our own folders; --to ", options.format,
                     " has no place for it");
  if (!info.depth && given) {
    info.depth = given->info;
    const std::string range = range_operation(info.pp_eval);
    // Pictures in their own size, as DINOv2's heads have been trained.
    info.pp_eval = concat("decode|rgb", range.empty() ? "" : "|", range);
    info.any_size = true;
    return given->weights;
  }
  if (!info.depth) return {};
  if (!options.pixel_head.empty())
    throw UsageError(from.path().string(),
                     " has a head of its own, which says how far every pixel is; ",
                     "--pixel-head is for checkpoints without one");
  if (options.format.empty()) return load_depth_head(from, *info.depth, info.config);
  log_warn(concat("the head that says how far every pixel is is left behind: --to ", options.format,
                  " has no place for it"));
  info.depth.reset();
  return {};
}

/// Pictures of any shape at the model's size: what segmentation wants, whatever a classifier saw.
void show_whole_pictures(ModelInfo& info) {
  const std::string range = range_operation(info.pp_eval);
  const int64_t side = std::min(info.config.img_size.height, info.config.img_size.width);
  info.pp_eval = concat("decode|", info.config.in_chans == 1 ? "gray" : "rgb", "|resize_small(",
                        side, ",bicubic)", range.empty() ? "" : "|" + range);
  info.any_size = true;
}

// Formats that are one file.
void check_file_options(const std::filesystem::path& path, const ConvertOptions& options) {
  const std::string ending = "." + options.format;
  if (path.extension() != ending)
    throw UsageError("--to ", options.format, " writes a file: want a name that ends in ", ending,
                     ", not ", path.string());
  const bool is_onnx = options.format == kOnnxFormat;
  if (options.layout.shard_bytes > 0)
    throw UsageError("--to ", options.format, ": weights lie in the file",
                     is_onnx ? ", or above 2 GB in one beside it" : "",
                     "; leave --shard-size away");
  if (is_onnx && options.layout.dtype != at::kFloat)
    throw UsageError(
        "--to onnx: weights are written in fp32; --dtype bf16 is not: runtimes differ in how they "
        "compute with such");
}

// What the new files do not say has to be given where they are read.
void warn_of_unsaid(const std::filesystem::path& path, const ModelInfo& from,
                    const ModelInfo& written, const ConvertOptions& options) {
  const std::string &resize = written.config.tokens.posemb_resize,
                    &before = from.config.tokens.posemb_resize;
  if (from.config.has_position_table() && resize != before)
    log_warn(concat("at other image sizes than ", from.config.img_size.height, "x",
                    from.config.img_size.width, " positions are resized otherwise from ",
                    options.format, " (", resize, ", here ", before, ")"));
  const ModelInfo read = read_model_info(resolve_checkpoint(path));
  const std::string &act = read.config.mlp.act_layer, &own = written.config.mlp.act_layer;
  if (act != own)
    log_warn(concat(path.string(), " does not say act_layer, and is read as ", act, "; give '",
                    path.string(), "?act_layer=", own, "'"));
  if (read.pp_eval != written.pp_eval)
    log_warn(concat("pictures are shown to ", path.string(), " as ", read.pp_eval,
                    "; --pp says otherwise, here ", written.pp_eval));
  if (read.label_names != written.label_names)
    log_warn(concat(path.string(), " does not say the classes' names; give them by --labels"));
}

}  // namespace

Conversion convert_checkpoint(FileOps& ops, const CheckpointPath& from,
                              const std::filesystem::path& place, const ConvertOptions& options) {
  const auto write = options.format == kOnnxFormat  ? write_as_onnx
                     : options.format == kNpzFormat ? write_as_npz
                                                    : write_as_folder;
  if (write != write_as_folder) check_file_options(place, options);
  ModelInfo whole_info = read_model_info(from);
  whole_info.config.adapters = {};
  const TensorReader source(from, parameter_table(whole_info.config));
  source.check_all();
  Conversion done{written_info(whole_info, from, options), {}, {}};
  std::optional<ImportedDepthHead> depth;
  if (!options.pixel_head.empty())
    depth = read_dinov2_depth_head(options.pixel_head, whole_info.config);
  const std::optional<ImportedHead> head =
      depth ? std::nullopt : pixel_head(from, source, whole_info, options);
  done.info.segmentation = head ? std::optional(head->info) : std::nullopt;
  if (!options.pixel_head.empty() && !depth) show_whole_pictures(done.info);
  const NamedTensors depth_head = depth_head_of(from, done.info, options, depth);
  for (const std::string& name : source.left())
    if (!name.starts_with(kAdapterPrefix) && !name.starts_with(kBasePrefix))
      done.left.push_back(name);
  if (options.has_no_head)
    for (const ParameterRow& row : parameter_table(whole_info.config))
      if (row.unit.kind == UnitKind::kHead) done.left.push_back(row.name);
  std::set<std::string> not_finite;
  const WholeTensor whole = [&](const ParameterRow& row) {
    if (options.on_tensor) options.on_tensor();
    at::Tensor value = source.whole(row);
    if (!value.isfinite().all().item<bool>()) not_finite.insert(row.name);
    return value;
  };
  const WrittenParts parts{source, whole, head ? &*head : nullptr, depth_head};
  write(ops, place, parts, options, done);
  if (!not_finite.empty())
    log_warn(concat(not_finite.size(), " of the tensors have values that are no finite numbers in ",
                    "float32, the first is '", *not_finite.begin(), "'"));
  if (write != write_as_onnx) warn_of_unsaid(place, whole_info, done.info, options);
  return done;
}

}  // namespace vit22b
