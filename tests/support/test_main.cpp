#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "core/device.h"
#include "core/error.h"
#include "core/instructions.h"

namespace {

/// Each test draws the same numbers in every run, whatever ran before it.
class SeededTests : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo&) override { at::manual_seed(1); }
};

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  // Before any other use of libtorch, which keeps its first answer to "is there CUDA".
  if (const char* device = std::getenv("VIT22B_TEST_DEVICE"); device != nullptr) {
    try {
      vit22b::resolve_device(device);
    } catch (const vit22b::UserError& error) {
      std::cout << "NO GPU TESTED: " << error.what() << "\n";
      return 0;
    }
  }
  if (const char* instructions = std::getenv("VIT22B_TEST_INSTRUCTIONS"); instructions != nullptr)
    vit22b::limit_instructions(vit22b::parse_instructions(instructions));
  testing::UnitTest::GetInstance()->listeners().Append(new SeededTests);  // NOLINT: gtest owns it
  return RUN_ALL_TESTS();
}
