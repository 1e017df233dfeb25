#include "checkpoint/convert.h"

#include "checkpoint/adapters.h"
#include "checkpoint/export/exporter.h"
#include "checkpoint/export/onnx/model.h"
#include "checkpoint/import/dinov2_head.h"
#include "checkpoint/tensor_reader.h"
#include "core/error.h"
#include "core/log.h"
#include "data/pixel_range.h"

namespace vit22b {
namespace {

constexpr const char* kTimmsResize = "bicubic_antialias";

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
  if (options.format == "timm" && info.config.tokens.posemb_resize != kTimmsResize) {
    log_warn(concat("at other image sizes than ", info.config.img_size.height, "x",
                    info.config.img_size.width, " timm resizes positions otherwise (", kTimmsResize,
                    ", here ", info.config.tokens.posemb_resize, ")"));
    info.config.tokens.posemb_resize = kTimmsResize;
  }
  return info;
}

std::vector<ConvertedTensor> names_in(const std::vector<WrittenTensor>& written) {
  std::vector<ConvertedTensor> tensors;
  for (const WrittenTensor& tensor : written) {
    tensors.push_back({tensor.name, {}});
    for (const RowSlice& slice : tensor.slices) tensors.back().from.push_back(slice.row->name);
  }
  return tensors;
}

// Of a value that the files take for granted, such as a bias that they have not, nothing was
// written.
void check_values(const TensorReader& source, const CheckpointPath& written,
                  const std::vector<ParameterRow>& table, const ConvertOptions& options) {
  const TensorReader back(written, table, TensorHashes::kChecked);
  for (const ParameterRow& row : table) {
    if (options.on_tensor) options.on_tensor();
    const at::Tensor value = source.whole(row);
    const at::ScalarType dtype = held_type(row, options.layout.dtype);
    const at::Tensor want = value.to(dtype).to(at::kFloat).contiguous();
    // Bits, so that what is no number is compared too.
    if (!at::equal(back.whole(row).view(at::kInt), want.view(at::kInt)))
      throw UsageError("'", row.name, "' has values that ",
                       options.format.empty() ? "our" : options.format,
                       " files of this family cannot have: they are taken for granted there");
  }
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

/// Pictures of any shape at the model's size: what segmentation wants, whatever a classifier saw.
void show_whole_pictures(ModelInfo& info) {
  const std::string range = range_operation(info.pp_eval);
  const int64_t side = std::min(info.config.img_size.height, info.config.img_size.width);
  info.pp_eval = concat("decode|", info.config.in_chans == 1 ? "gray" : "rgb", "|resize_small(",
                        side, ",bicubic)", range.empty() ? "" : "|" + range);
  info.any_size = true;
}

void write_pixel_head(FileOps& ops, const std::filesystem::path& folder, const ImportedHead& head,
                      const ViTConfig& model, Manifest& manifest) {
  PartList parts;
  for (const ParameterRow& row : segmentation_rows(head.info, model)) {
    TensorCut whole;
    whole.shape = row.shape;
    parts.emplace_back(row.name, TensorPart{whole, head.weights.at(row.local_name).contiguous()});
  }
  manifest[kTaskFile] =
      write_parts(ops, folder / kTaskFile, parts, {{"format", "pt"}}, single_process());
}

void check_onnx_options(const std::filesystem::path& path, const ConvertOptions& options) {
  if (path.extension() != ".onnx")
    throw UsageError("--to onnx writes a file: want a name that ends in .onnx, not ",
                     path.string());
  if (options.layout.dtype != at::kFloat)
    throw UsageError(
        "--to onnx: weights are written in fp32; --dtype bf16 is not: runtimes differ in how they "
        "compute with such");
  if (options.layout.shard_bytes > 0)
    throw UsageError(
        "--to onnx: weights lie in the file, or above 2 GB in one beside it; leave --shard-size "
        "away");
}

/// What is written: a checkpoint's parameters, and a head of every pixel or null.
struct WrittenParts {
  const TensorReader& source;
  const WholeTensor& whole;
  const ImportedHead* head;
};

void write_as_onnx(FileOps& ops, const std::filesystem::path& path, const WrittenParts& parts,
                   const ConvertOptions& options, Conversion& done) {
  const std::vector<ParameterRow> table = parameter_table(done.info.config);
  const OnnxModel model = onnx_model(done.info, table, parts.whole, parts.head);
  write_onnx(ops, path, model, options.has_data_beside ? 0 : kMostOnnxBytes);
  for (const OnnxTensor& tensor : model.graph.tensors())
    if (!tensor.from.empty()) done.tensors.push_back({tensor.name, tensor.from});
}

void write_as_folder(FileOps& ops, const std::filesystem::path& folder, const WrittenParts& parts,
                     const ConvertOptions& options, Conversion& done) {
  const std::vector<ParameterRow> table = parameter_table(done.info.config);
  const WrittenModel model =
      options.format.empty()
          ? WrittenModel{under_timms_names(table), {{"config.json", model_info_text(done.info)}}}
          : export_model(options.format, done.info, table);
  done.tensors = names_in(model.tensors);
  make_recorded_folder(ops, folder, [&](const std::filesystem::path& beside, Manifest& manifest) {
    write_model(ops, beside, model, parts.whole, options.layout, manifest);
    if (parts.head != nullptr)
      write_pixel_head(ops, beside, *parts.head, done.info.config, manifest);
    check_values(parts.source, beside, table, options);
  });
}

}  // namespace

Conversion convert_checkpoint(FileOps& ops, const CheckpointPath& from,
                              const std::filesystem::path& place, const ConvertOptions& options) {
  const bool is_onnx = options.format == kOnnxFormat;
  if (is_onnx) check_onnx_options(place, options);
  ModelInfo whole_info = read_model_info(from);
  whole_info.config.adapters = {};
  const TensorReader source(from, parameter_table(whole_info.config));
  source.check_all();
  Conversion done{written_info(whole_info, from, options), {}, {}};
  const std::optional<ImportedHead> head = pixel_head(from, source, whole_info, options);
  done.info.segmentation = head ? std::optional(head->info) : std::nullopt;
  if (!options.pixel_head.empty()) show_whole_pictures(done.info);
  for (const std::string& name : source.left())
    if (!name.starts_with(kAdapterPrefix) && !name.starts_with(kBasePrefix))
      done.left.push_back(name);
  if (options.has_no_head)
    for (const ParameterRow& row : parameter_table(whole_info.config))
      if (row.unit.kind == UnitKind::kHead) done.left.push_back(row.name);
  const WholeTensor whole = [&](const ParameterRow& row) {
    if (options.on_tensor) options.on_tensor();
    return source.whole(row);
  };
  const WrittenParts parts{source, whole, head ? &*head : nullptr};
  (is_onnx ? write_as_onnx : write_as_folder)(ops, place, parts, options, done);
  return done;
}

}  // namespace vit22b
