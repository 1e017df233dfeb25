#include "data/encode.h"

#include <ATen/ATen.h>
#include <png.h>

#include "core/error.h"

namespace vit22b {

std::string encode_png(const at::Tensor& image_HWC) {
  VIT22B_CHECK(image_HWC.dim() == 3 && image_HWC.scalar_type() == at::kByte &&
                   (image_HWC.size(2) == 1 || image_HWC.size(2) == 3),
               "encode_png: want uint8 [H, W, 1 or 3], not ", image_HWC.sizes());
  const at::Tensor pixels = image_HWC.contiguous();
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  header.height = static_cast<png_uint_32>(pixels.size(0));
  header.width = static_cast<png_uint_32>(pixels.size(1));
  header.format = pixels.size(2) == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  const auto* data = pixels.const_data_ptr<uint8_t>();
  png_alloc_size_t size = 0;
  if (png_image_write_to_memory(&header, nullptr, &size, 0, data, 0, nullptr) == 0)
    throw InternalError("encode_png: ", header.message);
  std::string bytes(size, '\0');
  if (png_image_write_to_memory(&header, bytes.data(), &size, 0, data, 0, nullptr) == 0)
    throw InternalError("encode_png: ", header.message);
  bytes.resize(size);
  return bytes;
}

}  // namespace vit22b
