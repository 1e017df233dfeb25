#include "checkpoint/converted_files.h"

#include "checkpoint/export/onnx/model.h"
#include "core/error.h"
#include "core/log.h"
#include "core/signals.h"

namespace vit22b {
namespace {

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

void write_head(FileOps& ops, const std::filesystem::path& folder,
                const std::vector<ParameterRow>& rows, const NamedTensors& weights,
                Manifest& manifest) {
  PartList parts;
  for (const ParameterRow& row : rows) {
    TensorCut whole;
    whole.shape = row.shape;
    parts.emplace_back(row.name, TensorPart{whole, weights.at(row.local_name).contiguous()});
  }
  manifest[kTaskFile] =
      write_parts(ops, folder / kTaskFile, parts, {{"format", "pt"}}, single_process());
}

}  // namespace

void write_as_onnx(FileOps& ops, const std::filesystem::path& path, const WrittenParts& parts,
                   const ConvertOptions& options, Conversion& done) {
  const std::vector<ParameterRow> table = parameter_table(done.info.config);
  const OnnxModel model = onnx_model(done.info, table, parts.whole, parts.head);
  write_onnx(ops, path, model, options.has_data_beside ? 0 : kMostOnnxBytes);
  for (const OnnxTensor& tensor : model.graph.tensors())
    if (!tensor.from.empty()) done.tensors.push_back({tensor.name, tensor.from});
}

// Made in a folder of its own, so that it is read back before it has its name.
void write_as_npz(FileOps& ops, const std::filesystem::path& path, const WrittenParts& parts,
                  const ConvertOptions& options, Conversion& done) {
  const std::vector<ParameterRow> table = parameter_table(done.info.config);
  const WrittenModel model = export_model(options.format, done.info, table);
  done.tensors = names_in(model.tensors);
  check_is_free(path);
  const SavesFirst until_written;
  if (path.has_parent_path()) ops.make_folder(path.parent_path());
  const std::filesystem::path folder = temporary_beside(path);
  const std::filesystem::path file = folder / path.filename();
  ops.make_new_folder(folder);
  try {
    write_arrays(ops, file, model, parts.whole, options.layout);
    check_values(parts.source, resolve_checkpoint(file), table, options);
    check_is_free(path);  // writing takes long
    ops.rename(file, path);
    ops.remove_all(folder);
  } catch (...) {
    std::error_code error;
    std::filesystem::remove_all(folder, error);
    throw;
  }
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
      write_head(ops, beside, segmentation_rows(parts.head->info, done.info.config),
                 parts.head->weights, manifest);
    if (!parts.depth_head.empty())
      write_head(ops, beside, depth_rows(*done.info.depth, done.info.config), parts.depth_head,
                 manifest);
    check_values(parts.source, beside, table, options);
  });
}

}  // namespace vit22b
