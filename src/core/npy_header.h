#pragma once
#include <c10/core/ScalarType.h>

#include <string>

#include "core/strided_bytes.h"

namespace vit22b {

/// What an .npy file says before its array's bytes (versions 1 to 3 of numpy's format).
struct NpyHeader {
  at::ScalarType dtype = at::kFloat;
  StridedView view;  ///< Fortran's order is a view of C's; `begin` is the file's
};

/// Reads the header of an .npy file that is a part of a store.
///
/// begin, size  of the file
/// place        where it is, for messages
/// throws       CheckpointError: no .npy file, big-endian, text, objects or structures, a shape
/// that
///              overflows or whose bytes are not the file's
NpyHeader read_npy_header(const ByteStore& store, size_t begin, size_t size,
                          const std::string& place);

}  // namespace vit22b
