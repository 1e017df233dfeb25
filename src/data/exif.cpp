#include "data/exif.h"

#include <ATen/ATen.h>

#include <cstring>
#include <string_view>

namespace vit22b {
namespace {

using Bytes = std::span<const uint8_t>;

constexpr std::string_view kExifMark("Exif\0\0", 6);
constexpr uint32_t kOrientationTag = 0x0112, kShort = 3;

bool starts(Bytes bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

Bytes after(Bytes bytes, size_t count) {
  return bytes.subspan(std::min(count, bytes.size()));
}

/// An unsigned number of `size` bytes at an offset; 0 behind the end.
uint32_t number(Bytes bytes, size_t at, size_t size, bool is_little) {
  if (at > bytes.size() || size > bytes.size() - at) return 0;
  uint32_t value = 0;
  for (size_t i = 0; i < size; ++i) value = value << 8 | bytes[at + (is_little ? size - 1 - i : i)];
  return value;
}

/// The orientation in EXIF data: a TIFF header, then entries of 12 bytes.
int orientation_of(Bytes exif) {
  if (starts(exif, kExifMark)) exif = after(exif, kExifMark.size());
  const bool is_little = starts(exif, "II");
  if (!is_little && !starts(exif, "MM")) return 1;
  const size_t table = number(exif, 4, 4, is_little);
  const uint32_t count = number(exif, table, 2, is_little);
  for (uint32_t i = 0; i < count; ++i) {
    const size_t entry = table + 2 + 12 * size_t{i};
    if (entry >= exif.size()) break;
    if (number(exif, entry, 2, is_little) != kOrientationTag) continue;
    const uint32_t value = number(exif, entry + 8, 2, is_little);
    const bool is_valid = number(exif, entry + 2, 2, is_little) == kShort && value >= 1;
    return is_valid && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

Bytes exif_of_jpeg(Bytes bytes) {
  constexpr uint8_t kApp1 = 0xE1, kStartOfScan = 0xDA;
  bytes = after(bytes, 2);
  while (bytes.size() > 4 && bytes[0] == 0xFF && bytes[1] != kStartOfScan) {
    const size_t length = number(bytes, 2, 2, /*is_little=*/false);
    if (length < 2 || length + 2 > bytes.size()) break;
    const Bytes segment = bytes.subspan(4, length - 2);
    if (bytes[1] == kApp1 && starts(segment, kExifMark)) return segment;
    bytes = after(bytes, length + 2);
  }
  return {};
}

/// A chunk by name: length and name before the data (PNG), or name and length (RIFF).
Bytes chunk(Bytes bytes, std::string_view name, bool is_png) {
  while (bytes.size() >= 8) {
    const size_t length = number(bytes, is_png ? 0 : 4, 4, /*is_little=*/!is_png);
    if (length > bytes.size() - 8) break;
    if (starts(bytes.subspan(is_png ? 4 : 0), name)) return bytes.subspan(8, length);
    bytes = after(bytes, 8 + length + (is_png ? 4 : length % 2));  // a checksum, or padding
  }
  return {};
}

}  // namespace

int exif_orientation(std::span<const uint8_t> bytes) {
  if (starts(bytes, "\xFF\xD8")) return orientation_of(exif_of_jpeg(bytes));
  if (starts(bytes, "\x89PNG")) return orientation_of(chunk(after(bytes, 8), "eXIf", true));
  if (starts(bytes, "RIFF")) return orientation_of(chunk(after(bytes, 12), "EXIF", false));
  return 1;
}

at::Tensor turned(const at::Tensor& image_HWC, int orientation) {
  const bool is_transposed = orientation >= 5;
  at::Tensor image = is_transposed ? image_HWC.permute({1, 0, 2}) : image_HWC;
  if (orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8)
    image = image.flip(0);
  if (orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7)
    image = image.flip(1);
  return image.contiguous();
}

}  // namespace vit22b
