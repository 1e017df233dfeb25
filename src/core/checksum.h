#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vit22b {

/// xxh3-128 of some bytes as 32 hexadecimal digits; it detects accidents, not malice.
std::string xxh3_128(std::span<const std::byte> bytes);

/// xxh3_128 of a text.
std::string hash_of_text(std::string_view text);

/// The same of bytes that come piece by piece.
class Xxh3Stream {
 public:
  Xxh3Stream();
  ~Xxh3Stream();
  Xxh3Stream(const Xxh3Stream&) = delete;
  Xxh3Stream& operator=(const Xxh3Stream&) = delete;

  void add(std::span<const std::byte> bytes);
  std::string hash() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// CRC-32C (Castagnoli), as TFRecords have it.
uint32_t crc32c(std::string_view bytes);

/// Names, sizes and times of change of some files as one hash; a missing file counts by its name.
std::string file_fingerprint(const std::vector<std::filesystem::path>& files);

}  // namespace vit22b
