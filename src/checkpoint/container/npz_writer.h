#pragma once
#include <ATen/core/Tensor.h>

#include <functional>

#include "checkpoint/container/safetensors_header.h"
#include "core/file.h"

namespace vit22b {

/// Writes an .npz file as numpy.savez does: a zip archive (zip64, nothing packed) of .npy arrays in
/// C order, each asked for when it is its turn. bfloat16, which numpy has not, is written as JAX
/// does: two bytes of no type (V2).
///
/// entries  of float32 or bfloat16
/// tensor   gives entry i
/// throws   the FileOps' error
void write_npz(FileOps& ops, const std::filesystem::path& path,
               const std::vector<TensorEntry>& entries,
               const std::function<at::Tensor(size_t i)>& tensor);

}  // namespace vit22b
