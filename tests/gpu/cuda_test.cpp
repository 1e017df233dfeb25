#include <gtest/gtest.h>

#include "checkpoint/container/safetensors_file.h"
#include "checkpoint/container/safetensors_writer.h"
#include "support/files.h"
#include "support/program.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

int code_of(const std::string& arguments) {
  return test::vit(arguments).code;
}

/// Each test runs the program, so that the device is resolved first in a process of its own.
class Cuda : public testing::Test {
 protected:
  void SetUp() override {
    if (code_of("env --device cuda") != 0)
      GTEST_SKIP() << "NO GPU TESTED: --device cuda is not available on this machine";
  }
};

TEST_F(Cuda, FeaturesMatchTheCpuForEveryOracle) {
  const test::TempFolder folder;
  for (const std::string name :
       {"timm_parallel", "timm_parallel_bias", "timm_serial", "timm_serial_map"}) {
    const auto oracle = test::source_path("tests/oracle/" + name);
    ASSERT_EQ(
        code_of("features " + oracle.string() + " --device cuda --input " +
                (oracle / "expected.safetensors").string() + " --out " + (folder / "f").string()),
        0);
    EXPECT_LT(
        test::relative_difference(SafetensorsFile(folder / "f").load("logits"),
                                  SafetensorsFile(oracle / "expected.safetensors").load("logits")),
        1e-4);
  }
}

// Slots that are filled through pinned memory by a stream of their own.
TEST_F(Cuda, StreamedAndGeneratedWeightsGiveTheBitsOfResidentOnes) {
  const test::TempFolder folder;
  const std::string model = (folder / "m").string();
  ASSERT_EQ(code_of("model init ti16 --seed 3 --out " + model), 0);
  const auto features = [&](const std::string& words, const std::string& name) {
    const std::string out = (folder / name).string();
    EXPECT_EQ(code_of("features " + words + " --device cuda --input " + (folder / "in").string() +
                      " --out " + out),
              0)
        << words;
    return SafetensorsFile(out).load("tokens");
  };
  FileOps ops;
  write_safetensors(ops, folder / "in", {{"images", at::randn({3, 3, 224, 224})}});
  const at::Tensor want = features(model, "resident");
  EXPECT_TRUE(test::is_same(features(model + " store=streamed", "streamed"), want));
  EXPECT_TRUE(test::is_same(features("ti16 --weights generated --seed 3", "generated"), want));
}

TEST_F(Cuda, ModelsTrainInBothPrecisions) {
  for (const char* precision : {"fp32", "bf16"})
    EXPECT_EQ(
        code_of(
            std::string(
                "bench model ti16 --batch 8 --mode train --repeats 2 --device cuda --precision ") +
            precision),
        0)
        << precision;
}

}  // namespace
}  // namespace vit22b
