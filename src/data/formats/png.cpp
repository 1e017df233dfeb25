#include <ATen/ATen.h>
#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "core/error.h"
#include "data/formats/formats.h"

namespace vit22b {
namespace {

/// The bytes, how far they are read, and what libpng's errors jump to.
struct PngState {
  std::span<const uint8_t> bytes;
  size_t next = 0;
  jmp_buf jump;
  char text[160];
};

void on_png_error(png_structp png, png_const_charp message) {
  auto* state = static_cast<PngState*>(png_get_error_ptr(png));
  std::snprintf(state->text, sizeof state->text, "%s", message);
  longjmp(state->jump, 1);
}

void on_png_warning(png_structp, png_const_charp) {}

void read_png_bytes(png_structp png, png_bytep out, size_t count) {
  auto* state = static_cast<PngState*>(png_get_io_ptr(png));
  if (count > state->bytes.size() - state->next) png_error(png, "it ends too early");
  std::memcpy(out, state->bytes.data() + state->next, count);
  state->next += count;
}

/// libpng's reader, freed however reading ends.
struct PngReader {
  explicit PngReader(PngState& state)
      : png(png_create_read_struct(PNG_LIBPNG_VER_STRING, &state, on_png_error, on_png_warning)),
        info(png != nullptr ? png_create_info_struct(png) : nullptr) {
    VIT22B_CHECK(info != nullptr, "libpng cannot make a reader");
    png_set_read_fn(png, &state, read_png_bytes);
  }
  PngReader(const PngReader&) = delete;
  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }
  png_structp png;
  png_infop info;
};

/// Asks for 8 bits of grey or RGB: palettes and few bits are widened, 16 bits keep the high byte,
/// and neither gAMA nor iCCP, sRGB or cHRM changes a tone.
void ask_for_colours(png_structp png) {
  png_set_expand(png);
  png_set_strip_16(png);
  png_set_strip_alpha(png);
}

/// Asks for numbers as they lie, one or two bytes each.
void ask_for_values(png_structp png) {
  png_set_packing(png);
  png_set_swap(png);
}

bool read_header(PngReader& reader, PngState& state, void (*ask)(png_structp)) {
  if (setjmp(state.jump) != 0) return false;
  png_set_user_limits(reader.png, PictureLimit::kMaxSide, PictureLimit::kMaxSide);
  png_read_info(reader.png, reader.info);
  ask(reader.png);
  png_set_interlace_handling(reader.png);
  png_read_update_info(reader.png, reader.info);
  return true;
}

bool read_rows(PngReader& reader, PngState& state, uint8_t** rows) {
  if (setjmp(state.jump) != 0) return false;
  png_read_image(reader.png, rows);
  return true;  // what follows the pixels is not read: a missing end harms nobody
}

/// The size as the first chunk, IHDR, has it: libpng refuses too large ones without telling them.
void check_header_size(std::span<const uint8_t> bytes, const PictureLimit& limit) {
  constexpr size_t kWidthAt = 16, kHeightAt = 20;
  if (bytes.size() < kHeightAt + 4)
    throw DataError(limit.name, " is no valid PNG: it ends too early");
  limit.check(png_get_uint_32(bytes.data() + kWidthAt), png_get_uint_32(bytes.data() + kHeightAt));
}

/// A file whose header has been read.
struct OpenPng {
  OpenPng(std::span<const uint8_t> bytes, const PictureLimit& limit, void (*ask)(png_structp))
      : name(limit.name), state{bytes}, reader(state) {
    check_header_size(bytes, limit);
    if (!read_header(reader, state, ask)) fail();
  }

  [[noreturn]] void fail() const { throw DataError(name, " is no valid PNG: ", state.text); }

  /// The pixels as they have been asked for, [H, W, C] of one type.
  at::Tensor pixels(at::ScalarType type) {
    const int64_t height = png_get_image_height(reader.png, reader.info),
                  width = png_get_image_width(reader.png, reader.info),
                  channels = png_get_channels(reader.png, reader.info);
    at::Tensor image = at::empty({height, width, channels}, type);
    const auto row_bytes = static_cast<size_t>(width * channels) * c10::elementSize(type);
    VIT22B_CHECK(png_get_rowbytes(reader.png, reader.info) == row_bytes, "a PNG row is not ",
                 row_bytes, " bytes");
    std::vector<uint8_t*> rows(static_cast<size_t>(height));
    for (size_t y = 0; y < rows.size(); ++y)
      rows[y] = static_cast<uint8_t*>(image.mutable_data_ptr()) + y * row_bytes;
    if (!read_rows(reader, state, rows.data())) fail();
    return image;
  }

  const std::string& name;
  PngState state;
  PngReader reader;
};

}  // namespace

at::Tensor decode_png(std::span<const uint8_t> bytes, const PictureLimit& limit) {
  return OpenPng(bytes, limit, ask_for_colours).pixels(at::kByte);
}

at::Tensor decode_png_values(std::span<const uint8_t> bytes, const PictureLimit& limit) {
  OpenPng png(bytes, limit, ask_for_values);
  if (png_get_channels(png.reader.png, png.reader.info) != 1)
    throw DataError(limit.name,
                    " has colours, want one number a pixel: a PNG of grey or with a palette");
  const bool is_wide = png_get_bit_depth(png.reader.png, png.reader.info) == 16;
  const at::Tensor values = png.pixels(is_wide ? at::kShort : at::kByte).to(at::kInt);
  return is_wide ? values.bitwise_and(0xFFFF) : values;
}

}  // namespace vit22b
