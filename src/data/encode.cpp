#include "data/encode.h"

#include <ATen/ATen.h>
#include <jpeglib.h>
#include <png.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "core/error.h"

namespace vit22b {

namespace {

/// The bytes of a PNG of pixels as libpng's simplified interface takes them.
std::string png_bytes(const at::Tensor& pixels, png_uint_32 format, const void* colours = nullptr,
                      png_uint_32 num_colours = 0) {
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  header.height = static_cast<png_uint_32>(pixels.size(0));
  header.width = static_cast<png_uint_32>(pixels.size(1));
  header.format = format;
  header.colormap_entries = num_colours;
  const void* data = pixels.const_data_ptr();
  png_alloc_size_t size = 0;
  if (png_image_write_to_memory(&header, nullptr, &size, 0, data, 0, colours) == 0)
    throw InternalError("encode_png: ", header.message);
  std::string bytes(size, '\0');
  if (png_image_write_to_memory(&header, bytes.data(), &size, 0, data, 0, colours) == 0)
    throw InternalError("encode_png: ", header.message);
  bytes.resize(size);
  return bytes;
}

void check_values(const at::Tensor& values_HW) {
  VIT22B_CHECK(values_HW.dim() == 2 && values_HW.numel() > 0 &&
                   values_HW.min().item<int64_t>() >= 0 &&
                   values_HW.max().item<int64_t>() <= UINT16_MAX,
               "a PNG of numbers: want 0 to 65535 [H, W], not ", values_HW.sizes());
}

}  // namespace

std::string encode_png(const at::Tensor& image_HWC) {
  VIT22B_CHECK(image_HWC.dim() == 3 && image_HWC.scalar_type() == at::kByte &&
                   (image_HWC.size(2) == 1 || image_HWC.size(2) == 3),
               "encode_png: want uint8 [H, W, 1 or 3], not ", image_HWC.sizes());
  return png_bytes(image_HWC.contiguous(),
                   image_HWC.size(2) == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB);
}

std::string encode_values_png(const at::Tensor& values_HW,
                              const std::function<std::array<uint8_t, 3>(int64_t)>& colour) {
  constexpr int64_t kColours = 256;
  check_values(values_HW);
  if (values_HW.max().item<int64_t>() >= kColours) return encode_wide_png(values_HW);
  std::array<uint8_t, 3 * kColours> palette{};
  for (int64_t i = 0; i < kColours; ++i) {
    const std::array<uint8_t, 3> rgb = colour(i);
    std::copy(rgb.begin(), rgb.end(), palette.begin() + 3 * i);
  }
  return png_bytes(values_HW.to(at::kByte).contiguous(), PNG_FORMAT_RGB_COLORMAP, palette.data(),
                   kColours);
}

std::string encode_wide_png(const at::Tensor& values_HW) {
  check_values(values_HW);
  return png_bytes(values_HW.to(at::kUInt16).contiguous(), PNG_FORMAT_LINEAR_Y);
}

std::string encode_jpeg(const at::Tensor& image_HWC, int quality) {
  VIT22B_CHECK(image_HWC.dim() == 3 && image_HWC.scalar_type() == at::kByte &&
                   image_HWC.size(2) == 3 && image_HWC.size(0) <= JPEG_MAX_DIMENSION &&
                   image_HWC.size(1) <= JPEG_MAX_DIMENSION,
               "encode_jpeg: want uint8 [H, W, 3], not ", image_HWC.sizes());
  at::Tensor pixels = image_HWC.contiguous();
  jpeg_compress_struct encoder{};
  jpeg_error_mgr errors{};
  // Its own handler ends the process; nothing here can fail but for memory.
  encoder.err = jpeg_std_error(&errors);
  jpeg_create_compress(&encoder);
  unsigned char* memory = nullptr;
  unsigned long size = 0;  // NOLINT(google-runtime-int): libjpeg's type
  jpeg_mem_dest(&encoder, &memory, &size);
  encoder.image_height = static_cast<JDIMENSION>(pixels.size(0));
  encoder.image_width = static_cast<JDIMENSION>(pixels.size(1));
  encoder.input_components = 3;
  encoder.in_color_space = JCS_RGB;
  jpeg_set_defaults(&encoder);
  jpeg_set_quality(&encoder, quality, TRUE);
  jpeg_start_compress(&encoder, TRUE);
  auto* data = pixels.mutable_data_ptr<uint8_t>();
  while (encoder.next_scanline < encoder.image_height) {
    JSAMPROW row = data + static_cast<size_t>(encoder.next_scanline) * encoder.image_width * 3;
    jpeg_write_scanlines(&encoder, &row, 1);
  }
  jpeg_finish_compress(&encoder);
  jpeg_destroy_compress(&encoder);
  const std::unique_ptr<unsigned char, decltype(&std::free)> held(memory, &std::free);
  return {reinterpret_cast<const char*>(memory), size};
}

}  // namespace vit22b
