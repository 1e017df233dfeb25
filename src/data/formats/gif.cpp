#include <ATen/ATen.h>
#include <gif_lib.h>

#include <array>
#include <cstring>
#include <memory>

#include "core/error.h"
#include "data/formats/formats.h"

namespace vit22b {
namespace {

/// What giflib reads from.
struct Bytes {
  std::span<const uint8_t> rest;
};

int read_bytes(GifFileType* file, GifByteType* out, int count) {
  auto& rest = static_cast<Bytes*>(file->UserData)->rest;
  const size_t size = std::min(rest.size(), static_cast<size_t>(count));
  std::memcpy(out, rest.data(), size);
  rest = rest.subspan(size);
  return static_cast<int>(size);
}

struct Closer {
  void operator()(GifFileType* file) const { DGifCloseFile(file, nullptr); }
};
using File = std::unique_ptr<GifFileType, Closer>;

[[noreturn]] void fail(const File& file, const std::string& name) {
  const char* reason = GifErrorString(file->Error);
  throw DataError(name, " is a damaged GIF: ", reason == nullptr ? "it ends too early" : reason);
}

/// Goes to the first picture; gives the colour number that is transparent there, or -1.
int skip_to_picture(const File& file, const std::string& name) {
  int transparent = -1;
  for (GifRecordType record{};;) {
    if (DGifGetRecordType(file.get(), &record) == GIF_ERROR) fail(file, name);
    if (record == IMAGE_DESC_RECORD_TYPE) return transparent;
    if (record == TERMINATE_RECORD_TYPE) throw DataError(name, " is a GIF without a picture");
    int code = 0;
    GifByteType* block = nullptr;
    if (DGifGetExtension(file.get(), &code, &block) == GIF_ERROR) fail(file, name);
    GraphicsControlBlock control{};
    if (code == GRAPHICS_EXT_FUNC_CODE && block != nullptr &&
        DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK)
      transparent = control.TransparentColor;
    while (block != nullptr)
      if (DGifGetExtensionNext(file.get(), &block) == GIF_ERROR) fail(file, name);
  }
}

using Colours = std::array<std::array<uint8_t, 3>, 256>;

/// Numbers beyond a palette are grey, as PIL has them; a file without a palette is all grey.
Colours colours_of(const GifFileType& file) {
  Colours colours{};
  for (size_t i = 0; i < colours.size(); ++i) colours[i].fill(static_cast<uint8_t>(i));
  const ColorMapObject* map = file.Image.ColorMap != nullptr ? file.Image.ColorMap : file.SColorMap;
  for (int i = 0; map != nullptr && i < std::min(map->ColorCount, 256); ++i)
    colours[static_cast<size_t>(i)] = {map->Colors[i].Red, map->Colors[i].Green,
                                       map->Colors[i].Blue};
  return colours;
}

/// Whether numbers are their own grey, which is how a grey picture is kept.
bool is_grey(const Colours& colours) {
  for (size_t i = 0; i < colours.size(); ++i)
    for (const uint8_t ink : colours[i])
      if (ink != i) return false;
  return true;
}

/// The rows of an interlaced picture in the order of the file.
std::vector<int64_t> rows_of(int64_t height, bool is_interlaced) {
  std::vector<int64_t> rows;
  rows.reserve(static_cast<size_t>(height));
  constexpr std::array<std::array<int64_t, 2>, 4> kPasses = {{{0, 8}, {4, 8}, {2, 4}, {1, 2}}};
  if (is_interlaced)
    for (const auto& [first, step] : kPasses)
      for (int64_t row = first; row < height; row += step) rows.push_back(row);
  else
    for (int64_t row = 0; row < height; ++row) rows.push_back(row);
  return rows;
}

}  // namespace

at::Tensor decode_gif(std::span<const uint8_t> bytes, const PictureLimit& limit) {
  const std::string& name = limit.name;
  Bytes source{bytes};
  int error = 0;
  const File file(DGifOpen(&source, read_bytes, &error));
  if (file == nullptr) throw DataError(name, " is no valid GIF: ", GifErrorString(error));
  const int transparent = skip_to_picture(file, name);
  if (DGifGetImageDesc(file.get()) == GIF_ERROR) fail(file, name);
  const GifImageDesc& frame = file->Image;
  // A frame may reach beyond the screen, which grows then.
  const int64_t width = std::max<int64_t>(file->SWidth, int64_t{frame.Left} + frame.Width),
                height = std::max<int64_t>(file->SHeight, int64_t{frame.Top} + frame.Height);
  limit.check(width, height);
  const auto colours = colours_of(*file);
  const auto& around = colours[transparent >= 0 ? static_cast<size_t>(transparent) : 0];
  at::Tensor image = at::empty({height, width, 3}, at::kByte);
  auto* pixels = image.mutable_data_ptr<uint8_t>();
  for (int64_t i = 0; i < height * width; ++i) std::memcpy(pixels + 3 * i, around.data(), 3);
  std::vector<GifPixelType> line(static_cast<size_t>(frame.Width));
  for (const int64_t row : rows_of(frame.Height, frame.Interlace)) {
    if (DGifGetLine(file.get(), line.data(), frame.Width) == GIF_ERROR) fail(file, name);
    uint8_t* out = pixels + 3 * ((frame.Top + row) * width + frame.Left);
    for (size_t x = 0; x < line.size(); ++x) std::memcpy(out + 3 * x, colours[line[x]].data(), 3);
  }
  return is_grey(colours) ? image.slice(2, 0, 1).contiguous() : image;
}

}  // namespace vit22b
