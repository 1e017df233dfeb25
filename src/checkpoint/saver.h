#pragma once
#include <functional>
#include <map>
#include <string>

#include "checkpoint/container/safetensors_writer.h"
#include "dist/tensor_cut.h"

namespace vit22b {

/// Receives a part that has been written.
using PartWritten = std::function<void(const at::Tensor& part)>;

/// Writes one file from all ranks' parts of its tensors: the same bytes as one process would write.
/// Each tensor is brought together on one rank, tensors in turn on all of them, which writes and
/// hashes it.
///
/// written  is told of each of this rank's parts that is not needed any more
/// target   appears whole or not at all: written beside under a temporary name, renamed at the end
/// returns  the file's record, on every rank
/// throws   the FileOps' error of any rank, on every rank; InternalError before the first byte when
///          ranks cut a tensor differently
FileRecord write_parts(FileOps& ops, const std::filesystem::path& target, const PartList& parts,
                       const std::map<std::string, std::string>& metadata, const Mesh& mesh,
                       const PartWritten& written = {});

}  // namespace vit22b
