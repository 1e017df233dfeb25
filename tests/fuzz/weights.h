#pragma once
#include "checkpoint/container/containers.h"
#include "core/error.h"

// What the targets that open files of weights do with them.

namespace vit22b::fuzz {

/// Reads the first and the last bytes of each tensor, twice, and in the other order.
inline void read_ends(const TensorContainer& container) {
  constexpr size_t kMost = 4096;
  for (const auto& [name, tensor] : container.tensors()) {
    const size_t size = tensor.size_bytes(), part = std::min(size, kMost);
    std::string first(part, '\0'), last(part, '\0'), again(part, '\0');
    container.read(name, 0, std::as_writable_bytes(std::span(first)));
    container.read(name, size - part, std::as_writable_bytes(std::span(last)));
    container.read(name, 0, std::as_writable_bytes(std::span(again)));
    VIT22B_CHECK(first == again, name, " is read otherwise the second time");
    VIT22B_CHECK(size > part || first == last, name, " has two ends");
    container.check_unchanged(name);
  }
}

}  // namespace vit22b::fuzz
