#pragma once
#include <span>
#include <string>

#include "core/http/http.h"

namespace vit22b::test {

/// A hash in hexadecimal digits, by OpenSSL.
///
/// algorithm  "sha256" or "sha1"
inline std::string digest_of(const char* algorithm, const std::string& text) {
  const auto digest = http_module().make_digest(algorithm);
  digest->add(std::as_bytes(std::span(text)));
  return digest->hex();
}

inline std::string sha256_of(const std::string& text) {
  return digest_of("sha256", text);
}

}  // namespace vit22b::test
