#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace vit22b {

/// xxh3-128 of some bytes as 32 hexadecimal digits; it detects accidents, not malice.
std::string xxh3_128(std::span<const std::byte> bytes);

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

}  // namespace vit22b
