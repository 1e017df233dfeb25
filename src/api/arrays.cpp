#include "api/arrays.h"

#include <ATen/ATen.h>

#include "core/checked.h"
#include "core/error.h"
#include "core/log.h"
#include "data/sources/image_folder.h"

namespace vit22b::api {
namespace {

int64_t count_of(const std::vector<int64_t>& shape) {
  std::optional<int64_t> count = 1;
  for (const int64_t size : shape)
    if (count = checked_mul(*count, size); !count) throw UsageError("an array's shape is not one");
  return *count;
}

}  // namespace

at::Tensor view_of(const Array& array, int64_t dims, const char* what) {
  if (static_cast<int64_t>(array.shape.size()) != dims)
    throw UsageError(what, " have ", array.shape.size(), " dimensions, want ", dims);
  if (count_of(array.shape) != static_cast<int64_t>(array.values.size()))
    throw UsageError(what, " have ", array.values.size(), " values, their shape says ",
                     count_of(array.shape));
  return at::from_blob(const_cast<float*>(array.values.data()), array.shape, at::kFloat);
}

Array array_of(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.to(at::kCPU, at::kFloat).contiguous();
  const auto* first = plain.const_data_ptr<float>();
  return {plain.sizes().vec(), {first, first + plain.numel()}};
}

Array preprocess(const std::vector<std::string>& files, const Transforms& transforms) {
  std::vector<at::Tensor> images;
  for (const std::string& file : files) {
    Sample sample;
    sample.id = file;
    sample.fields[kImageField].encoded = read_image_bytes(file);
    transforms(sample, 0);
    images.push_back(sample.fields.at(kImageField).value.permute({2, 0, 1}));
    if (images.back().sizes() != images.front().sizes())
      throw DataError(file, ": images of one call differ in size; transform them to one");
  }
  if (images.empty()) throw UsageError("there are no images");
  return array_of(at::stack(images));
}

Device opened_device(const std::string& device, int64_t threads) {
  log_set_terminal(false);  // a library talks through its answers and errors alone
  const Device opened = resolve_device(device);
  check_libtorch_version();
  if (threads != 0) set_threads(threads);
  return opened;
}

}  // namespace vit22b::api
