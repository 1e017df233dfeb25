#include "measure/compared_checkpoint.h"

#include <memory>

#include "checkpoint/container/containers.h"
#include "checkpoint/import/depth_head.h"
#include "checkpoint/model_writer.h"
#include "checkpoint/tensor_reader.h"
#include "checkpoint/weights.h"
#include "core/error.h"
#include "eval/load_predictor.h"

namespace vit22b {
namespace {

void count_dtypes(const TensorContainer& files, ComparedCheckpoint& checkpoint) {
  for (const auto& [name, tensor] : files.tensors())
    ++checkpoint.dtypes[c10::toString(tensor.dtype)];
}

/// A tensor of opened files, which live as long as it; its pages are let go once it is read.
template <class Files>
ComparedCheckpoint::Tensor stored_tensor(const std::shared_ptr<Files>& files,
                                         const TensorContainer& container,
                                         const std::string& name) {
  return {container.tensor(name).shape, [files, &container, name] {
            at::Tensor tensor = container.load(name);
            container.release(name);
            return tensor;
          }};
}

/// prefix  of the names here
void add_file(const std::shared_ptr<TensorContainer>& files, const std::string& prefix,
              ComparedCheckpoint& checkpoint) {
  count_dtypes(*files, checkpoint);
  for (const auto& [name, tensor] : files->tensors())
    checkpoint.tensors.emplace(prefix + name, stored_tensor(files, *files, name));
}

/// What vit22b writes beside a model.
void add_files_beside(const CheckpointPath& place, ComparedCheckpoint& checkpoint) {
  constexpr const char* kTextFile = "text.safetensors";
  if (!place.weights.empty()) return;  // a named file is the file that is meant
  for (const auto& [file, prefix] : {std::pair(kTextFile, "text."), {kTaskFile, ""}})
    if (std::filesystem::exists(place.folder / file))
      add_file(std::make_shared<TensorContainer>(open_safetensors(place.folder / file)), prefix,
               checkpoint);
}

}  // namespace

ComparedCheckpoint parameters_of_checkpoint(const CheckpointPath& place) {
  ComparedCheckpoint checkpoint{.info = read_named_model(place).info, .tensors = {}, .dtypes = {}};
  const std::vector<ParameterRow> table = parameter_table(checkpoint.info->config);
  const auto reader = std::make_shared<TensorReader>(place, table, TensorHashes::kChecked);
  reader->check_all();
  for (const ParameterRow& row : table)
    checkpoint.tensors[row.name] = {row.shape, [reader, row] {
                                      at::Tensor tensor = reader->whole(row);
                                      reader->release(row);
                                      return tensor;
                                    }};
  for (const std::string& name : reader->left())
    checkpoint.tensors.emplace(name, stored_tensor(reader, reader->files(), name));
  count_dtypes(reader->files(), checkpoint);
  if (checkpoint.info->family == "vit22b") add_files_beside(place, checkpoint);
  const std::optional<DepthInfo>& depth = checkpoint.info->depth;
  if (depth && checkpoint.info->family != "vit22b")
    for (const auto& [name, tensor] : load_depth_head(place, *depth, checkpoint.info->config))
      checkpoint.tensors[concat(kTaskPrefix, name)] = {tensor.sizes().vec(),
                                                       [tensor = tensor] { return tensor; }};
  return checkpoint;
}

ComparedCheckpoint tensors_of_files(const CheckpointPath& place) {
  ComparedCheckpoint checkpoint;
  try {
    checkpoint.info = read_named_model(place).info;
  } catch (const UserError&) {
    // No model, or one that is not known here: its tensors are compared all the same.
  }
  add_file(std::make_shared<TensorContainer>(open_weights(place)), "", checkpoint);
  return checkpoint;
}

}  // namespace vit22b
