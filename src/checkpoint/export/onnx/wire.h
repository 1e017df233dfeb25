#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace vit22b {

/// A message of protocol buffers as its bytes: fields, each a number of its kind and a value, one
/// after the other, little-endian.
///
/// source  protobuf.dev/programming-guides/encoding
class WireMessage {
 public:
  /// A whole number, an enum's value; negative ones take ten bytes.
  WireMessage& number(int field, int64_t value);
  WireMessage& numbers(int field, std::span<const int64_t> values);
  WireMessage& real(int field, float value);
  /// A string, or bytes.
  WireMessage& text(int field, std::string_view bytes);
  WireMessage& message(int field, const WireMessage& inner) { return text(field, inner.bytes_); }
  /// Fields of another, after one's own.
  WireMessage& append(const WireMessage& fields);
  /// What stands before a string or message of that many bytes, which the caller writes himself.
  WireMessage& head(int field, size_t size_bytes);

  const std::string& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }

 private:
  void varint(uint64_t value);
  void key(int field, unsigned kind);

  std::string bytes_;
};

}  // namespace vit22b
