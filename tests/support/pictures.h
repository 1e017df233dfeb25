#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "core/text.h"
#include "support/datasets.h"
#include "support/files.h"

namespace vit22b::test {

inline uint32_t crc_of(const std::string& bytes) {
  uint32_t crc = 0xFFFFFFFF;
  for (const char c : bytes) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xEDB88320 & (0U - (crc & 1)));
  }
  return ~crc;
}

inline std::string png_chunk(const std::string& kind, const std::string& data) {
  return big_endian(static_cast<uint32_t>(data.size())) + kind + data +
         big_endian(crc_of(kind + data));
}

/// A picture of one of four colours (red, green, blue, white) with a pattern, as a PNG of stored
/// pixels: no encoder is needed.
inline void write_png(const std::filesystem::path& path, int colour, int seed) {
  constexpr int kSide = 16;
  std::string rows;
  for (int y = 0; y < kSide; ++y) {
    rows += '\0';  // no filter
    for (int x = 0; x < kSide; ++x)
      for (int c = 0; c < 3; ++c) {
        const bool is_lit = colour == 3 || c == colour;
        rows += static_cast<char>((is_lit ? 200 : 20) + (x * 7 + y * 13 + seed * 5 + c) % 40);
      }
  }
  uint32_t a = 1, b = 0;
  for (const char c : rows) {
    a = (a + static_cast<uint8_t>(c)) % 65521;
    b = (b + a) % 65521;
  }
  const auto size = static_cast<uint16_t>(rows.size());
  const std::string length = {static_cast<char>(size), static_cast<char>(size >> 8),
                              static_cast<char>(~size), static_cast<char>(~size >> 8)};
  const std::string stored =
      std::string("\x78\x01\x01", 3) + length + rows + big_endian(b << 16 | a);
  write_file(path, std::string("\x89PNG\r\n\x1a\n") +
                       png_chunk("IHDR", big_endian(kSide) + big_endian(kSide) +
                                             std::string("\x08\x02\x00\x00\x00", 5)) +
                       png_chunk("IDAT", stored) + png_chunk("IEND", ""));
}

/// FOLDER/m.csv: 64 pictures of the split "train" and 16 of "test", three captions each, labelled
/// with their colour.
inline void write_captioned_pictures(const std::filesystem::path& folder) {
  std::string rows = "filepath,caption,label,split\n";
  const char* names[] = {"red", "green", "blue", "white"};
  for (int i = 0; i < 80; ++i) {
    const std::string name = names[i % 4], file = concat("p", i, ".png");
    write_png(folder / file, i % 4, i);
    const char* split = i < 64 ? "train" : "test";
    for (const char* text : {"a %s square", "something %s", "this picture is %s"}) {
      std::string caption = text;
      caption.replace(caption.find("%s"), 2, name);
      rows += concat(file, ",", caption, ",", name, ",", split, "\n");
    }
  }
  write_file(folder / "m.csv", rows);
}

}  // namespace vit22b::test
