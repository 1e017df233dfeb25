#include "data/decode.h"

#include <ATen/ATen.h>
#include <jpeglib.h>  // after <cstdio>, which it needs
#include <png.h>
#include <webp/decode.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "core/error.h"

namespace vit22b {
namespace {

// Limits against decompression bombs: no photograph of a data set has a longer side.
constexpr int64_t kMaxSide = 16'384;
constexpr int64_t kMaxPixels = int64_t{1} << 28;
constexpr int kMaxScans = 100;  // progressive JPEGs can ask for the same pixels again and again

void check_size(int64_t width, int64_t height, const std::string& name) {
  if (width < 1 || height < 1 || width > kMaxSide || height > kMaxSide ||
      width * height > kMaxPixels)
    throw DataError(name, " is ", width, " x ", height, " pixels, want at most ", kMaxSide,
                    " a side and ", kMaxPixels, " in all");
}

struct JpegErrors {
  jpeg_error_mgr base;
  jmp_buf jump;
  char text[JMSG_LENGTH_MAX];
};

void on_jpeg_error(j_common_ptr info) {
  auto* errors = reinterpret_cast<JpegErrors*>(info->err);
  info->err->format_message(info, errors->text);
  longjmp(errors->jump, 1);
}

// A warning means damaged data: what libjpeg would paint over is refused.
void on_jpeg_message(j_common_ptr info, int level) {
  if (level < 0) on_jpeg_error(info);
}

void on_jpeg_progress(j_common_ptr info) {
  auto* decoder = reinterpret_cast<j_decompress_ptr>(info);
  if (decoder->input_scan_number <= kMaxScans) return;
  auto* errors = reinterpret_cast<JpegErrors*>(info->err);
  std::snprintf(errors->text, sizeof errors->text, "more than %d scans", kMaxScans);
  longjmp(errors->jump, 1);
}

/// Decodes into a tensor that the caller holds, since longjmp skips destructors.
bool decode_jpeg_into(std::span<const uint8_t> bytes, at::Tensor& image, JpegErrors& errors) {
  jpeg_decompress_struct decoder{};
  jpeg_progress_mgr progress{};
  decoder.err = jpeg_std_error(&errors.base);
  errors.base.error_exit = on_jpeg_error;
  errors.base.emit_message = on_jpeg_message;
  progress.progress_monitor = on_jpeg_progress;
  if (setjmp(errors.jump) != 0) {
    jpeg_destroy_decompress(&decoder);
    return false;
  }
  jpeg_create_decompress(&decoder);
  decoder.progress = &progress;
  jpeg_mem_src(&decoder, bytes.data(), bytes.size());
  jpeg_read_header(&decoder, TRUE);
  if (decoder.image_width > kMaxSide || decoder.image_height > kMaxSide) {
    std::snprintf(errors.text, sizeof errors.text, "%u x %u pixels are more than %d a side",
                  decoder.image_width, decoder.image_height, static_cast<int>(kMaxSide));
    longjmp(errors.jump, 1);
  }
  const bool is_grey = decoder.jpeg_color_space == JCS_GRAYSCALE;
  const bool is_cmyk = decoder.jpeg_color_space == JCS_CMYK || decoder.jpeg_color_space == JCS_YCCK;
  decoder.out_color_space = is_grey ? JCS_GRAYSCALE : (is_cmyk ? JCS_CMYK : JCS_RGB);
  jpeg_start_decompress(&decoder);
  image = at::empty({decoder.output_height, decoder.output_width, decoder.output_components},
                    at::kByte);
  const int64_t stride = image.stride(0);
  while (decoder.output_scanline < decoder.output_height) {
    JSAMPROW row = image.data_ptr<uint8_t>() + stride * decoder.output_scanline;
    jpeg_read_scanlines(&decoder, &row, 1);
  }
  jpeg_finish_decompress(&decoder);
  jpeg_destroy_decompress(&decoder);
  return true;
}

at::Tensor decode_jpeg(std::span<const uint8_t> bytes, const std::string& name) {
  at::Tensor image;
  JpegErrors errors{};
  if (!decode_jpeg_into(bytes, image, errors))
    throw DataError(name, " is no valid JPEG: ", errors.text);
  if (image.size(2) != 4) return image;
  // Adobe's CMYK is stored inverted: RGB = CMY * K / 255.
  const at::Tensor wide = image.to(at::kInt);
  return (wide.slice(2, 0, 3) * wide.slice(2, 3, 4) / 255).to(at::kByte);
}

at::Tensor decode_png(std::span<const uint8_t> bytes, const std::string& name) {
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  const auto fail = [&] {
    const std::string reason = header.message;
    png_image_free(&header);
    throw DataError(name, " is no valid PNG: ", reason);
  };
  if (png_image_begin_read_from_memory(&header, bytes.data(), bytes.size()) == 0) fail();
  if (header.width > kMaxSide || header.height > kMaxSide) {
    const int64_t width = header.width, height = header.height;
    png_image_free(&header);
    check_size(width, height, name);
  }
  const bool is_colour = (header.format & PNG_FORMAT_FLAG_COLOR) != 0;
  // Alpha is read and dropped, as PIL's convert("RGB") does; libpng would blend it with a
  // background.
  header.format = is_colour ? PNG_FORMAT_RGBA : PNG_FORMAT_GA;
  at::Tensor image = at::empty({header.height, header.width, is_colour ? 4 : 2}, at::kByte);
  if (png_image_finish_read(&header, nullptr, image.data_ptr<uint8_t>(), 0, nullptr) == 0) fail();
  return image.slice(2, 0, is_colour ? 3 : 1).contiguous();
}

at::Tensor decode_webp(std::span<const uint8_t> bytes, const std::string& name) {
  int width = 0, height = 0;
  if (WebPGetInfo(bytes.data(), bytes.size(), &width, &height) == 0)
    throw DataError(name, " is no valid WebP");
  check_size(width, height, name);
  at::Tensor image = at::empty({height, width, 3}, at::kByte);
  if (WebPDecodeRGBInto(bytes.data(), bytes.size(), image.data_ptr<uint8_t>(),
                        static_cast<size_t>(image.numel()), width * 3) == nullptr)
    throw DataError(name, " is a damaged WebP");
  return image;
}

}  // namespace

at::Tensor decode_image(std::span<const uint8_t> bytes, const std::string& name) {
  const auto starts = [&](std::string_view magic, size_t at = 0) {
    return bytes.size() >= at + magic.size() &&
           std::memcmp(bytes.data() + at, magic.data(), magic.size()) == 0;
  };
  if (starts("\xFF\xD8\xFF")) return decode_jpeg(bytes, name);
  if (starts("\x89PNG\r\n\x1A\n")) return decode_png(bytes, name);
  if (starts("RIFF") && starts("WEBP", 8)) return decode_webp(bytes, name);
  if (bytes.empty()) throw DataError(name, " is empty");
  throw DataError(name, " is neither JPEG, PNG nor WebP: its first bytes belong to none of them");
}

}  // namespace vit22b
