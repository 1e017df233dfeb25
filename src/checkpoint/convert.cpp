#include "checkpoint/convert.h"

#include "checkpoint/adapters.h"
#include "checkpoint/export/exporter.h"
#include "checkpoint/tensor_reader.h"
#include "core/error.h"
#include "core/log.h"

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

}  // namespace

Conversion convert_checkpoint(FileOps& ops, const CheckpointPath& from,
                              const std::filesystem::path& folder, const ConvertOptions& options) {
  ModelInfo whole_info = read_model_info(from);
  whole_info.config.adapters = {};
  const TensorReader source(from, parameter_table(whole_info.config));
  source.check_all();
  Conversion done{written_info(whole_info, from, options), {}, {}};
  const std::vector<ParameterRow> table = parameter_table(done.info.config);
  const WrittenModel model =
      options.format.empty()
          ? WrittenModel{under_timms_names(table), {{"config.json", model_info_text(done.info)}}}
          : export_model(options.format, done.info, table);
  done.tensors = names_in(model.tensors);
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
  make_recorded_folder(ops, folder, [&](const std::filesystem::path& beside, Manifest& manifest) {
    write_model(ops, beside, model, whole, options.layout, manifest);
    check_values(source, beside, table, options);
  });
  return done;
}

}  // namespace vit22b
