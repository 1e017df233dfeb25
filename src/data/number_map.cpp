#include "data/number_map.h"

#include <ATen/ATen.h>

#include "core/byte_store.h"
#include "core/error.h"
#include "core/npy_header.h"
#include "core/text.h"
#include "data/decode.h"

namespace vit22b {
namespace {

/// The sides of an array that has no more than two of more than one.
std::vector<int64_t> sides_of(const NpyHeader& header, const std::string& file) {
  std::vector<int64_t> sides = header.view.shape;
  while (sides.size() > 2 && sides.front() == 1) sides.erase(sides.begin());
  while (sides.size() > 2 && sides.back() == 1) sides.pop_back();
  const bool has_pixels = sides.size() == 2 && sides[0] > 0 && sides[1] > 0;
  if (!has_pixels || sides[0] > kMaxPixels / sides[1])
    throw DataError(file, " is an array of ", sides_text(header.view.shape),
                    ", want [height, width] of at most ", kMaxPixels, " pixels");
  return sides;
}

}  // namespace

at::Tensor read_number_map(const std::string& file) {
  try {
    const std::unique_ptr<ByteStore> store = open_file_bytes(file, ExitCode::kData);
    const NpyHeader header = read_npy_header(*store, 0, store->size(), file);
    const std::vector<int64_t> sides = sides_of(header, file);
    const at::Tensor values = at::empty(sides, header.dtype);
    const std::span bytes(static_cast<std::byte*>(values.mutable_data_ptr()), values.nbytes());
    const bool is_plain = is_contiguous(header.view);
    const std::unique_ptr<ByteStore> turned =
        is_plain ? nullptr : strided_bytes(*store, header.view);
    const size_t read = is_plain ? store->read(header.view.begin, bytes) : turned->read(0, bytes);
    if (read < bytes.size()) throw DataError(file, " is cut short");
    return values.to(at::kFloat);
  } catch (const CheckpointError& e) {
    throw DataError(e.what());
  }
}

}  // namespace vit22b
