#pragma once
#include <gtest/gtest.h>

#include "checkpoint/container/containers.h"
#include "checkpoint/container/safetensors_file.h"
#include "support/files.h"
#include "support/tensors.h"

namespace vit22b::test {

/// Checks that a file of tests/oracle/containers has those of the expected tensors, and no others,
/// whose names begin so.
inline void expect_oracle(const std::string& file, const std::string& prefix) {
  const std::filesystem::path folder = source_path("tests/oracle/containers");
  const SafetensorsFile expected(folder / "expected.safetensors");
  const TensorContainer container = open_container(folder / file);
  size_t count = 0;
  for (const auto& [name, entry] : expected.entries()) {
    if (!name.starts_with(prefix)) continue;
    const std::string own = name.substr(prefix.size());
    ++count;
    ASSERT_TRUE(container.contains(own)) << own;
    EXPECT_TRUE(is_same(container.load(own), expected.load(name))) << own;
  }
  EXPECT_EQ(container.names().size(), count);
}

inline void load_all(const TensorContainer& container) {
  for (const std::string& name : container.names()) container.load(name);
}

}  // namespace vit22b::test
