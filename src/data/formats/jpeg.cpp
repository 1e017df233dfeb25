#include <ATen/ATen.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
// Each needs what the one before declares.
// clang-format off
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include "core/error.h"
#include "data/formats/formats.h"

namespace vit22b {
namespace {

constexpr int kMaxScans = 100;  // progressive JPEGs can ask for the same pixels again and again
// A progressive JPEG keeps two bytes of each of at most four inks; libjpeg refuses to take more.
constexpr int64_t kMaxBytesAPixel = 8, kMaxOtherBytes = int64_t{16} << 20;
// Warnings after which libjpeg paints over what it could not read. All others (bytes before a
// marker, a scan's odd parameters, JFIF's or Adobe's version) leave every pixel as it was written.
constexpr int kLostData[] = {JWRN_HIT_MARKER, JWRN_HUFF_BAD_CODE, JWRN_JPEG_EOF, JWRN_MUST_RESYNC,
                             JWRN_ARITH_BAD_CODE};

struct JpegErrors {
  jpeg_error_mgr base;
  int64_t width, height;  ///< as the header has them
  jmp_buf jump;
  char text[JMSG_LENGTH_MAX];
};

void on_jpeg_error(j_common_ptr info) {
  auto* errors = reinterpret_cast<JpegErrors*>(info->err);
  info->err->format_message(info, errors->text);
  longjmp(errors->jump, 1);
}

void on_jpeg_message(j_common_ptr info, int level) {
  const bool is_warning = level < 0;
  if (is_warning && std::count(std::begin(kLostData), std::end(kLostData), info->err->msg_code) > 0)
    on_jpeg_error(info);
}

void on_jpeg_progress(j_common_ptr info) {
  auto* decoder = reinterpret_cast<j_decompress_ptr>(info);
  if (decoder->input_scan_number <= kMaxScans) return;
  auto* errors = reinterpret_cast<JpegErrors*>(info->err);
  std::snprintf(errors->text, sizeof errors->text, "more than %d scans", kMaxScans);
  longjmp(errors->jump, 1);
}

/// Decodes into a tensor that the caller holds, since longjmp skips destructors.
bool decode_jpeg_into(std::span<const uint8_t> bytes, const PictureLimit& limit, at::Tensor& image,
                      JpegErrors& errors) {
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
  decoder.mem->max_memory_to_use = kMaxBytesAPixel * limit.max_pixels + kMaxOtherBytes;
  decoder.progress = &progress;
  jpeg_mem_src(&decoder, bytes.data(), bytes.size());
  jpeg_read_header(&decoder, TRUE);
  errors.width = decoder.image_width;
  errors.height = decoder.image_height;
  if (!limit.takes(errors.width, errors.height)) {
    jpeg_destroy_decompress(&decoder);
    return false;
  }
  const bool is_grey = decoder.num_components == 1;
  decoder.out_color_space =
      is_grey ? JCS_GRAYSCALE : (decoder.num_components == 4 ? JCS_CMYK : JCS_RGB);
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

/// Stored inks are inverted, so 255 is none: RGB = K - (255 - CMY) * K / 255, with PIL's rounding.
at::Tensor rgb_of_inverted_cmyk(const at::Tensor& image) {
  const at::Tensor wide = image.to(at::kInt);
  const at::Tensor black = wide.slice(2, 3, 4);
  const at::Tensor product = (255 - wide.slice(2, 0, 3)) * black + 128;
  return (black - (product.bitwise_right_shift(8) + product).bitwise_right_shift(8)).to(at::kByte);
}

}  // namespace

at::Tensor decode_jpeg(std::span<const uint8_t> bytes, const PictureLimit& limit) {
  const std::string& name = limit.name;
  at::Tensor image;
  JpegErrors errors{};
  if (!decode_jpeg_into(bytes, limit, image, errors)) {
    if (errors.height > 0) limit.check(errors.width, errors.height);
    throw DataError(name, " is no valid JPEG: ", errors.text);
  }
  return image.size(2) == 4 ? rgb_of_inverted_cmyk(image) : image;
}

}  // namespace vit22b
