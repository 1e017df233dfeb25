#include "checkpoint/export/onnx/wire.h"

#include <bit>

namespace vit22b {
namespace {

// How a value is encoded, in a key's last three bits.
constexpr unsigned kVarint = 0, kBytes = 2, kFixed32 = 5;
constexpr unsigned kKindBits = 3, kGroupBits = 7;
constexpr uint64_t kMore = uint64_t{1} << kGroupBits;

}  // namespace

void WireMessage::varint(uint64_t value) {
  for (; value >= kMore; value >>= kGroupBits)
    bytes_.push_back(static_cast<char>(value % kMore + kMore));
  bytes_.push_back(static_cast<char>(value));
}

void WireMessage::key(int field, unsigned kind) {
  varint((static_cast<uint64_t>(field) << kKindBits) + kind);
}

WireMessage& WireMessage::number(int field, int64_t value) {
  key(field, kVarint);
  varint(static_cast<uint64_t>(value));
  return *this;
}

WireMessage& WireMessage::numbers(int field, std::span<const int64_t> values) {
  for (const int64_t value : values) number(field, value);
  return *this;
}

WireMessage& WireMessage::real(int field, float value) {
  key(field, kFixed32);
  const auto bits = std::bit_cast<uint32_t>(value);
  for (unsigned shift = 0; shift < 32; shift += 8)
    bytes_.push_back(static_cast<char>(bits >> shift));
  return *this;
}

WireMessage& WireMessage::text(int field, std::string_view bytes) {
  head(field, bytes.size());
  bytes_.append(bytes);
  return *this;
}

WireMessage& WireMessage::append(const WireMessage& fields) {
  bytes_ += fields.bytes_;
  return *this;
}

WireMessage& WireMessage::head(int field, size_t size_bytes) {
  key(field, kBytes);
  varint(size_bytes);
  return *this;
}

}  // namespace vit22b
