#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "api/vit22b.h"
#include "core/device.h"
#include "data/transforms.h"

namespace vit22b::api {

/// The array's own values, not a copy.
///
/// what    named in errors, a plural
/// throws  UsageError where it has other dimensions, or not as many values as its shape says
at::Tensor view_of(const Array& array, int64_t dims, const char* what);

/// A copy as float32.
Array array_of(const at::Tensor& tensor);

/// Reads, decodes and transforms image files: [B, C, H, W].
///
/// throws  DataError for a file that is no image, or images of several sizes
Array preprocess(const std::vector<std::string>& files, const Transforms& transforms);

/// The device, opened before any other call of ATen; sets the process's threads where not 0, and
/// keeps the library's log off stderr.
Device opened_device(const std::string& device, int64_t threads);

}  // namespace vit22b::api
