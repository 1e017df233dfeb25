#include <gtest/gtest.h>

#include "checkpoint/safetensors.h"
#include "support/files.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

int vit(const std::string& arguments) {
  const char* binary = std::getenv("VIT22B_BINARY");
  return std::system((std::string(binary != nullptr ? binary : "build/release/vit22b") + " " +
                      arguments + " >/dev/null 2>&1")
                         .c_str());
}

/// Each test runs the program, so that the device is resolved first in a process of its own.
class Cuda : public testing::Test {
 protected:
  void SetUp() override {
    if (vit("env --device cuda") != 0)
      GTEST_SKIP() << "NO GPU TESTED: --device cuda is not available on this machine";
  }
};

TEST_F(Cuda, FeaturesMatchTheCpuForEveryOracle) {
  const test::TempFolder folder;
  for (const std::string name :
       {"timm_parallel", "timm_parallel_bias", "timm_serial", "timm_serial_map"}) {
    const auto oracle = test::source_path("tests/oracle/" + name);
    ASSERT_EQ(vit("features " + oracle.string() + " --device cuda --input " +
                  (oracle / "expected.safetensors").string() + " --out " + (folder / "f").string()),
              0);
    EXPECT_LT(
        test::relative_difference(SafetensorsFile(folder / "f").load("logits"),
                                  SafetensorsFile(oracle / "expected.safetensors").load("logits")),
        1e-4);
  }
}

TEST_F(Cuda, ModelsTrainInBothPrecisions) {
  for (const char* precision : {"fp32", "bf16"})
    EXPECT_EQ(
        vit(std::string(
                "bench model ti16 --batch 8 --mode train --repeats 2 --device cuda --precision ") +
            precision),
        0)
        << precision;
}

}  // namespace
}  // namespace vit22b
