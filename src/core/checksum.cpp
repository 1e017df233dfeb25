#include "core/checksum.h"

#include <xxhash.h>

#include <array>
#include <cstdio>

#include "core/text.h"

namespace vit22b {
namespace {

std::string text_of(const XXH128_hash_t& hash) {
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return text;
}

}  // namespace

std::string xxh3_128(std::span<const std::byte> bytes) {
  return text_of(XXH3_128bits(bytes.data(), bytes.size()));
}

std::string hash_of_text(std::string_view text) {
  return xxh3_128(std::as_bytes(std::span(text.data(), text.size())));
}

struct Xxh3Stream::State {
  XXH3_state_t* xxh = XXH3_createState();
  ~State() { XXH3_freeState(xxh); }
};

Xxh3Stream::Xxh3Stream() : state_(std::make_unique<State>()) {
  XXH3_128bits_reset(state_->xxh);
}

Xxh3Stream::~Xxh3Stream() = default;

void Xxh3Stream::add(std::span<const std::byte> bytes) {
  XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size());
}

std::string Xxh3Stream::hash() const {
  return text_of(XXH3_128bits_digest(state_->xxh));
}

uint32_t crc32c(std::string_view bytes) {
  static constexpr auto kTable = [] {
    constexpr uint32_t kReversedPolynomial = 0x82F63B78;
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t crc = i;
      for (int bit = 0; bit < 8; ++bit)
        crc = (crc >> 1) ^ (kReversedPolynomial & (0U - (crc & 1U)));
      table[i] = crc;
    }
    return table;
  }();
  uint32_t crc = 0xFFFFFFFF;
  for (const char c : bytes) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<uint8_t>(c)) & 0xFFU];
  return ~crc;
}

std::string file_fingerprint(const std::vector<std::filesystem::path>& files) {
  Xxh3Stream stream;
  for (const std::filesystem::path& file : files) {
    std::error_code error;
    const auto size = std::filesystem::file_size(file, error);
    const auto time = std::filesystem::last_write_time(file, error).time_since_epoch().count();
    const std::string line = concat(file.string(), "\t", error ? 0 : size, "\t", time, "\n");
    stream.add(std::as_bytes(std::span(line)));
  }
  return stream.hash();
}

}  // namespace vit22b
