#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/container/tensor_container.h"

namespace vit22b {

/// An index of shards, as Hugging Face's tools write them beside the shards.
constexpr std::string_view kIndexEnding = ".safetensors.index.json";

/// Opens a file of weights by the kind that its name's ending says. Each kind is one file and one
/// row of the list in containers.cpp.
///
/// throws  CheckpointError naming the file and what is wrong with it: for another ending, those
///         that there are; where ending and content disagree, both; for what is no file of weights
///         at all (a pointer of git-lfs, a web page, a server's error), what it is
TensorContainer open_container(const std::filesystem::path& file);

/// Whether a name has the ending of such a file.
bool has_container_ending(std::string_view name);

/// The same of bytes wherever they lie.
///
/// place  of them, for people
TensorContainer open_safetensors(std::unique_ptr<ByteStore> bytes,
                                 const std::filesystem::path& place);
/// A safetensors file. throws  CheckpointError as read_safetensors_header
TensorContainer open_safetensors(const std::filesystem::path& file);
/// An .npz file: a zip archive of arrays, packed or not, by their names without `.npy`. Arrays in
/// Fortran's order are given in C's.
///
/// throws  CheckpointError as read_zip_directory and read_npy_header
TensorContainer open_npz(const std::filesystem::path& file);
/// What torch.save or torch.jit.save has written, of any version: the tensors of its state dict as
/// find_state_dict chooses it, by their names there, or all that a TorchScript module has by the
/// paths of their attributes. Nothing of the file is executed.
///
/// throws  CheckpointError where it is damaged, big-endian, holds no state dict, or a tensor is of
///         a kind that is not read
TensorContainer open_torch(const std::filesystem::path& file);
/// The files that an index names, plain names each.
///
/// throws  CheckpointError where it is damaged
std::vector<std::string> shards_of(const std::filesystem::path& index);
/// The file of each tensor, as an index has it.
std::map<std::string, std::string> shards_by_tensor(const std::filesystem::path& index);
/// The tensors that an index says lie in files beside it.
///
/// throws  CheckpointError where a file is missing, or is not as the index says
TensorContainer open_shards(const std::filesystem::path& index);

}  // namespace vit22b
