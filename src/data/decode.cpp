#include "data/decode.h"

#include <cstring>

#include "core/error.h"
#include "data/formats/formats.h"

namespace vit22b {
namespace {

struct Format {
  const char* name;
  std::string_view magic;
  size_t at;  ///< where the magic bytes stand
  at::Tensor (*decode)(std::span<const uint8_t> bytes, const std::string& name);
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

void check_picture_size(int64_t width, int64_t height, const std::string& name) {
  if (width < 1 || height < 1 || width > kMaxPictureSide || height > kMaxPictureSide ||
      width * height > kMaxPicturePixels)
    throw DataError(name, " is ", width, " x ", height, " pixels, want at most ", kMaxPictureSide,
                    " a side and ", kMaxPicturePixels, " in all");
}

at::Tensor decode_image(std::span<const uint8_t> bytes, const std::string& name) {
  if (bytes.empty()) throw DataError(name, " is empty");
  std::vector<std::string> names;
  for (const Format& format : kFormats) {
    if (has_magic(bytes, format)) return format.decode(bytes, name);
    if (names.empty() || names.back() != format.name) names.emplace_back(format.name);
  }
  const std::vector<std::string> others(names.begin() + 1, names.end());
  throw DataError(name, " is neither ", names[0], ", ", join(others, " nor "),
                  ": its first bytes belong to none of them");
}

}  // namespace vit22b
