#include <ATen/ATen.h>

#include <array>
#include <bit>

#include "core/error.h"
#include "data/formats/formats.h"

namespace vit22b {
namespace {

constexpr size_t kFileHeader = 14;  // "BM", sizes, and where the pixels begin
constexpr uint32_t kOs2Header = 12, kPlainHeader = 40;
enum Compression : uint32_t { kNone = 0, kRle8 = 1, kRle4 = 2, kBitFields = 3 };

/// Little-endian numbers of a file; behind its end it is damaged.
struct BmpBytes {
  std::span<const uint8_t> bytes;
  const std::string& name;

  uint32_t number(size_t at, size_t size) const {
    if (at > bytes.size() || size > bytes.size() - at)
      throw DataError(name, " is no valid BMP: it ends too early");
    uint32_t value = 0;
    for (size_t i = size; i-- > 0;) value = value << 8 | bytes[at + i];
    return value;
  }
};

struct BmpHeader {
  int64_t width, height;
  bool is_top_down = false;
  uint32_t bits, num_colours;
  size_t palette_at, palette_entry, pixels_at;
  std::array<uint32_t, 3> masks{};  ///< of red, green and blue, 16 and 32 bits
};

BmpHeader read_header(const BmpBytes& file) {
  const uint32_t size = file.number(kFileHeader, 4);
  const auto at = [&](size_t offset, size_t bytes) {
    return file.number(kFileHeader + offset, bytes);
  };
  BmpHeader h{};
  h.palette_at = kFileHeader + size;
  h.pixels_at = file.number(10, 4);
  if (size == kOs2Header) {
    h.width = at(4, 2);
    h.height = at(6, 2);
    h.bits = at(10, 2);
    h.palette_entry = 3;
  } else if (size >= kPlainHeader) {
    const auto height = static_cast<int32_t>(at(8, 4));
    h.width = at(4, 4);
    h.is_top_down = height < 0;
    h.height = std::abs(int64_t{height});
    h.bits = at(14, 2);
    h.num_colours = at(32, 4);
    h.palette_entry = 4;
  } else {
    throw DataError(file.name, " is no valid BMP: a header of ", size, " bytes");
  }
  const uint32_t compression = size == kOs2Header ? uint32_t{kNone} : at(16, 4);
  if (compression != kNone && compression != kBitFields)
    throw DataError(file.name, " is a BMP with run-length or other compression (", compression,
                    "), which is not read; save it as PNG");
  h.masks = h.bits == 16 ? std::array<uint32_t, 3>{0x7C00, 0x3E0, 0x1F}
                         : std::array<uint32_t, 3>{0xFF0000, 0xFF00, 0xFF};
  if (compression == kBitFields)
    for (size_t c = 0; c < 3; ++c) h.masks[c] = at(40 + 4 * c, 4);
  if (h.num_colours == 0 && h.bits <= 8) h.num_colours = 1U << h.bits;
  if (h.bits <= 8 && h.pixels_at == h.palette_at) h.pixels_at += h.palette_entry * h.num_colours;
  return h;
}

/// A palette's colours as RGB; black behind its end.
using Palette = std::array<std::array<uint8_t, 3>, 256>;

Palette read_palette(const BmpBytes& file, const BmpHeader& h) {
  Palette palette{};
  for (size_t i = 0; i < std::min<size_t>(h.num_colours, palette.size()); ++i)
    for (size_t c = 0; c < 3; ++c)
      palette[i][2 - c] =
          static_cast<uint8_t>(file.number(h.palette_at + i * h.palette_entry + c, 1));
  return palette;
}

/// True where a pixel's number is its grey level, as PIL has it: then the picture has one channel.
bool is_grey(const Palette& palette, uint32_t num_colours) {
  if (num_colours > palette.size()) return false;
  for (uint32_t i = 0; i < num_colours; ++i) {
    const auto level = static_cast<uint8_t>(num_colours == 2 ? i * 255 : i);
    if (palette[i] != std::array<uint8_t, 3>{level, level, level}) return false;
  }
  return true;
}

uint8_t masked_byte(uint32_t pixel, uint32_t mask) {
  if (mask == 0) return 0;
  const uint32_t most = mask >> std::countr_zero(mask);
  return static_cast<uint8_t>(uint64_t{(pixel & mask) >> std::countr_zero(mask)} * 255 / most);
}

}  // namespace

at::Tensor decode_bmp(std::span<const uint8_t> bytes, const PictureLimit& limit) {
  const std::string& name = limit.name;
  const BmpBytes file{bytes, name};
  const BmpHeader h = read_header(file);
  limit.check(h.width, h.height);
  if (h.bits != 1 && h.bits != 4 && h.bits != 8 && h.bits != 16 && h.bits != 24 && h.bits != 32)
    throw DataError(name, " is no valid BMP: ", h.bits, " bits a pixel");
  const bool has_palette = h.bits <= 8;
  const Palette palette = has_palette ? read_palette(file, h) : Palette{};
  const int64_t channels = has_palette && is_grey(palette, h.num_colours) ? 1 : 3;
  const auto stride = static_cast<size_t>((h.width * h.bits + 31) / 32 * 4);
  file.number(h.pixels_at + stride * static_cast<size_t>(h.height - 1), 1);  // the last row begins
  at::Tensor image = at::empty({h.height, h.width, channels}, at::kByte);
  uint8_t* out = image.mutable_data_ptr<uint8_t>();
  for (int64_t y = 0; y < h.height; ++y) {
    const size_t row =
        h.pixels_at + stride * static_cast<size_t>(h.is_top_down ? y : h.height - 1 - y);
    for (size_t x = 0; x < static_cast<size_t>(h.width); ++x) {
      if (has_palette) {
        const size_t bit = x * h.bits;
        const uint32_t shift = 8 - h.bits - static_cast<uint32_t>(bit % 8);
        const uint32_t index = file.number(row + bit / 8, 1) >> shift & ((1U << h.bits) - 1);
        out = std::copy_n(palette[index].data(), channels, out);
      } else {
        const uint32_t pixel = file.number(row + x * (h.bits / 8), h.bits / 8);
        for (const uint32_t mask : h.masks) *out++ = masked_byte(pixel, mask);
      }
    }
  }
  return image;
}

}  // namespace vit22b
