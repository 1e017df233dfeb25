#pragma once
#include "checkpoint/convert.h"
#include "checkpoint/export/exporter.h"
#include "checkpoint/import/dinov2_head.h"
#include "checkpoint/tensor_reader.h"

namespace vit22b {

/// What is written: a checkpoint's parameters, and a head of every pixel's class or null.
struct WrittenParts {
  const TensorReader& source;
  const WholeTensor& whole;
  const ImportedHead* head;
  const NamedTensors& depth_head;  ///< by local name; empty for none
};

/// Writes them as one format, reads them back where that format is read here, and says in `done`
/// what was written of its model.
using FormatWriter = void (*)(FileOps& ops, const std::filesystem::path& place,
                              const WrittenParts& parts, const ConvertOptions& options,
                              Conversion& done);

void write_as_onnx(FileOps& ops, const std::filesystem::path& path, const WrittenParts& parts,
                   const ConvertOptions& options, Conversion& done);
void write_as_npz(FileOps& ops, const std::filesystem::path& path, const WrittenParts& parts,
                  const ConvertOptions& options, Conversion& done);
/// Our own format, and those of export_formats.
void write_as_folder(FileOps& ops, const std::filesystem::path& folder, const WrittenParts& parts,
                     const ConvertOptions& options, Conversion& done);

}  // namespace vit22b
