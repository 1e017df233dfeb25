#include <ATen/ATen.h>
#include <tiffio.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>

#include "core/error.h"
#include "data/exif.h"
#include "data/formats/formats.h"

namespace vit22b {
namespace {

/// What libtiff reads from, and what it said last.
struct Bytes {
  std::span<const uint8_t> all;
  uint64_t at = 0;
  std::string said = {};
};

tmsize_t read_bytes(thandle_t handle, void* out, tmsize_t count) {
  auto& source = *static_cast<Bytes*>(handle);
  const uint64_t left = source.all.size() - std::min<uint64_t>(source.at, source.all.size());
  const uint64_t size = std::min<uint64_t>(left, static_cast<uint64_t>(count));
  if (size > 0) std::memcpy(out, source.all.data() + source.at, size);
  source.at += size;
  return static_cast<tmsize_t>(size);
}
tmsize_t write_nothing(thandle_t, void*, tmsize_t) {
  return 0;
}
toff_t seek(thandle_t handle, toff_t offset, int from) {
  auto& source = *static_cast<Bytes*>(handle);
  const uint64_t base = from == SEEK_SET ? 0 : (from == SEEK_CUR ? source.at : source.all.size());
  source.at = base + offset;
  return source.at;
}
int close_nothing(thandle_t) {
  return 0;
}
toff_t size_of(thandle_t handle) {
  return static_cast<Bytes*>(handle)->all.size();
}

/// Keeps a message, which would be printed else.
int keep_message(TIFF*, void* place, const char*, const char* format, va_list values) {
  char text[256];
  std::vsnprintf(text, sizeof text, format, values);
  *static_cast<std::string*>(place) = text;
  return 1;
}
int drop_message(TIFF*, void*, const char*, const char*, va_list) {
  return 1;
}

struct Closer {
  void operator()(TIFF* file) const { TIFFClose(file); }
};
using File = std::unique_ptr<TIFF, Closer>;

/// Opened to be read, without a mapping of memory.
File open_tiff(Bytes& source, const std::string& name) {
  constexpr tmsize_t kMostBytes = tmsize_t{1} << 30;  // what a file may ask for in one piece
  const std::unique_ptr<TIFFOpenOptions, decltype(&TIFFOpenOptionsFree)> options(
      TIFFOpenOptionsAlloc(), TIFFOpenOptionsFree);
  TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), kMostBytes);
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), keep_message, &source.said);
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), drop_message, nullptr);
  File file(TIFFClientOpenExt(name.c_str(), "rm", &source, read_bytes, write_nothing, seek,
                              close_nothing, size_of, nullptr, nullptr, options.get()));
  if (file == nullptr) throw DataError(name, " is no valid TIFF: ", source.said);
  return file;
}

template <class T>
T field(const File& file, uint32_t tag, T otherwise) {
  T value = otherwise;
  return TIFFGetFieldDefaulted(file.get(), tag, &value) == 1 ? value : otherwise;
}

/// How the samples of the first picture of a file lie.
struct Layout {
  uint32_t width, height;
  uint16_t bits, samples, photometric, planes, format;
  bool is_palette() const { return photometric == PHOTOMETRIC_PALETTE; }
  bool is_colour() const { return photometric == PHOTOMETRIC_RGB; }
  int64_t inks() const { return is_colour() ? 3 : 1; }
};

Layout layout_of(const File& file) {
  return {field<uint32_t>(file, TIFFTAG_IMAGEWIDTH, 0),
          field<uint32_t>(file, TIFFTAG_IMAGELENGTH, 0),
          field<uint16_t>(file, TIFFTAG_BITSPERSAMPLE, 1),
          field<uint16_t>(file, TIFFTAG_SAMPLESPERPIXEL, 1),
          field<uint16_t>(file, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK),
          field<uint16_t>(file, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG),
          field<uint16_t>(file, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT)};
}

void check_layout(const File& file, const Layout& l, const PictureLimit& limit) {
  limit.check(l.width, l.height);
  const std::string& name = limit.name;
  const bool is_grey =
      l.photometric == PHOTOMETRIC_MINISBLACK || l.photometric == PHOTOMETRIC_MINISWHITE;
  const bool has_bits = l.bits == 8 || l.bits == 16 || (l.bits == 1 && is_grey && l.samples == 1);
  if ((!is_grey && !l.is_palette() && !l.is_colour()) || !has_bits ||
      l.format != SAMPLEFORMAT_UINT || (l.is_palette() && l.bits != 8) || l.samples < l.inks() ||
      l.samples > 8 || TIFFIsTiled(file.get()) != 0)
    throw DataError(name, " is a TIFF of a kind that is not read (photometric ", l.photometric,
                    ", ", l.samples, " samples of ", l.bits, " bits",
                    TIFFIsTiled(file.get()) != 0 ? ", in tiles" : "",
                    "); grey, palette and RGB in strips are: save it as PNG");
}

/// A row's first inks as bytes.
void unpack_row(const uint8_t* row, const Layout& l, int64_t step, int64_t inks, uint8_t* out) {
  for (int64_t x = 0; x < l.width; ++x)
    for (int64_t c = 0; c < inks; ++c, ++out) {
      const int64_t i = step * x + c;
      if (l.bits == 1)
        *out = (row[i / 8] >> (7 - i % 8) & 1) != 0 ? 255 : 0;
      else if (l.bits == 8)
        *out = row[i];
      else  // in the machine's own order by now: the high byte
        *out = row[2 * i + 1];
    }
}

at::Tensor read_rows(const File& file, const Layout& l, const std::string& name) {
  const bool is_planar = l.planes == PLANARCONFIG_SEPARATE && l.samples > 1;
  const int64_t planes = is_planar ? l.inks() : 1, inks = is_planar ? 1 : l.inks();
  at::Tensor planes_SHWC = at::empty({planes, l.height, l.width, inks}, at::kByte);
  std::vector<uint8_t> row(static_cast<size_t>(TIFFScanlineSize64(file.get())));
  const int64_t step = is_planar ? 1 : l.samples;
  const uint64_t needed =
      (static_cast<uint64_t>(l.width) * static_cast<uint64_t>(step) * l.bits + 7) / 8;
  if (row.size() < needed) throw DataError(name, " is a damaged TIFF: its rows are too short");
  auto* out = planes_SHWC.mutable_data_ptr<uint8_t>();
  for (int64_t plane = 0; plane < planes; ++plane)
    for (uint32_t y = 0; y < l.height; ++y, out += l.width * inks) {
      if (TIFFReadScanline(file.get(), row.data(), y, static_cast<uint16_t>(plane)) != 1)
        throw DataError(name, " is a damaged TIFF: row ", y, " cannot be read");
      unpack_row(row.data(), l, step, inks, out);
    }
  return is_planar ? planes_SHWC.squeeze(3).permute({1, 2, 0}).contiguous()
                   : planes_SHWC.squeeze(0);
}

at::Tensor in_palette(const File& file, const at::Tensor& indices_HW1, const std::string& name) {
  uint16_t *red = nullptr, *green = nullptr, *blue = nullptr;
  if (TIFFGetField(file.get(), TIFFTAG_COLORMAP, &red, &green, &blue) != 1)
    throw DataError(name, " is a damaged TIFF: it has no palette");
  at::Tensor colours_N3 = at::empty({256, 3}, at::kByte);
  auto* out = colours_N3.mutable_data_ptr<uint8_t>();
  for (int64_t i = 0; i < 256; ++i)
    for (const uint16_t* ink : {red, green, blue}) *out++ = static_cast<uint8_t>(ink[i] >> 8);
  return colours_N3.index({indices_HW1.squeeze(2).to(at::kLong)}).contiguous();
}

}  // namespace

at::Tensor decode_tiff(std::span<const uint8_t> bytes, const PictureLimit& limit) {
  const std::string& name = limit.name;
  Bytes source{bytes};
  const File file = open_tiff(source, name);
  const Layout layout = layout_of(file);
  check_layout(file, layout, limit);
  at::Tensor image = read_rows(file, layout, name);
  if (layout.is_palette()) image = in_palette(file, image, name);
  if (layout.photometric == PHOTOMETRIC_MINISWHITE) image = image.bitwise_not();
  // PIL turns a TIFF as it says, other formats not.
  return turned(image, field<uint16_t>(file, TIFFTAG_ORIENTATION, 1));
}

}  // namespace vit22b
