#include "data/decode.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "data/formats/formats.h"

namespace vit22b {
namespace {

struct Format {
  const char* name;
  std::string_view magic;
  size_t at;  ///< where the magic bytes stand
  at::Tensor (*decode)(std::span<const uint8_t> bytes, const PictureLimit& limit);
};
// The one list of picture formats.
constexpr Format kFormats[] = {{"JPEG", "\xFF\xD8\xFF", 0, decode_jpeg},
                               {"PNG", "\x89PNG\r\n\x1A\n", 0, decode_png},
                               {"WebP", "WEBP", 8, decode_webp},
                               {"BMP", "BM", 0, decode_bmp},
                               {"GIF", "GIF8", 0, decode_gif},
                               {"TIFF", std::string_view("II*\0", 4), 0, decode_tiff},
                               {"TIFF", std::string_view("MM\0*", 4), 0, decode_tiff}};

bool has_magic(std::span<const uint8_t> bytes, const Format& format) {
  return bytes.size() >= format.at + format.magic.size() &&
         std::memcmp(bytes.data() + format.at, format.magic.data(), format.magic.size()) == 0;
}

}  // namespace

bool PictureLimit::takes(int64_t width, int64_t height) const {
  return width > 0 && height > 0 && width <= kMaxSide && height <= kMaxSide &&
         width * height <= max_pixels;
}

void PictureLimit::check(int64_t width, int64_t height) const {
  if (takes(width, height)) return;
  if (width < 1 || height < 1 || std::max(width, height) > kMaxSide)
    throw DataError(name, " is ", width, " x ", height, " pixels, want 1 to ", kMaxSide, " a side");
  throw DataError(name, " is ", width, " x ", height, " pixels, more than ", max_pixels,
                  "; where that is no mistake, raise --max-pixels (in a config data.max_pixels)");
}

at::Tensor decode_image(std::span<const uint8_t> bytes, const std::string& name,
                        int64_t max_pixels) {
  const PictureLimit limit{name, max_pixels};
  if (bytes.empty()) throw DataError(name, " is empty");
  std::vector<std::string> names;
  for (const Format& format : kFormats) {
    if (has_magic(bytes, format)) return format.decode(bytes, limit);
    if (names.empty() || names.back() != format.name) names.emplace_back(format.name);
  }
  const std::vector<std::string> others(names.begin() + 1, names.end());
  throw DataError(name, " is neither ", names[0], ", ", join(others, " nor "),
                  ": its first bytes belong to none of them");
}

int png_bits(std::span<const uint8_t> bytes) {
  constexpr size_t kBitsAt = 24;  // of the header chunk, which comes first
  for (const Format& format : kFormats)
    if (format.decode == decode_png && has_magic(bytes, format) && bytes.size() > kBitsAt)
      return bytes[kBitsAt];
  return 0;
}

at::Tensor decode_values(std::span<const uint8_t> bytes, const std::string& name,
                         int64_t max_pixels) {
  for (const Format& format : kFormats)
    if (format.decode == decode_png && has_magic(bytes, format))
      return decode_png_values(bytes, {name, max_pixels});
  throw DataError(name, " is no PNG, which masks and depth maps have to be: others lose values");
}

}  // namespace vit22b
