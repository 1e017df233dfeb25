#pragma once
#include <filesystem>
#include <string_view>

#include "checkpoint/container/tensor_container.h"

namespace vit22b {

/// An index of shards, as Hugging Face's tools write them beside the shards.
constexpr std::string_view kIndexEnding = ".safetensors.index.json";

/// Opens a file of weights by the kind that its name's ending says. Each kind is one file and one
/// line of the list in containers.cpp.
///
/// throws  CheckpointError naming the file and what is wrong with it; for another ending, those
///         that there are
TensorContainer open_container(const std::filesystem::path& file);

/// Whether a name has the ending of such a file.
bool has_container_ending(std::string_view name);

/// A safetensors file. throws  CheckpointError as read_safetensors_header
TensorContainer open_safetensors(const std::filesystem::path& file);
/// The tensors that an index says lie in files beside it.
///
/// throws  CheckpointError where a file is missing, or is not as the index says
TensorContainer open_shards(const std::filesystem::path& index);

}  // namespace vit22b
