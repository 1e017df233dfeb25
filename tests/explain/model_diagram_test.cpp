#include "explain/model_diagram.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace vit22b {
namespace {

bool has(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

TEST(ModelDiagram, TheParallelBlockHasOneNormAndTwoBranches) {
  const BlockDiagram diagram = model_diagram(preset("b16"));
  ASSERT_EQ(diagram.parts.size(), 1U);
  EXPECT_EQ(diagram.parts[0].first, std::vector<std::string>{"RMSNorm, eps 1e-06"});
  ASSERT_EQ(diagram.parts[0].branches.size(), 2U);
  EXPECT_TRUE(has(diagram.parts[0].branches[0], "norms of q and k, by head"));
  EXPECT_TRUE(has(diagram.parts[0].branches[0], "attention: 12 heads of 64"));
  EXPECT_TRUE(has(diagram.parts[0].branches[1], "gelu_tanh"));
  EXPECT_EQ(diagram.block, "12 blocks");
}

TEST(ModelDiagram, TheSerialBlockHasOneAfterTheOther) {
  ViTConfig config = preset("b16", "serial");
  config.init_values = 1e-5;
  const BlockDiagram diagram = model_diagram(config);
  ASSERT_EQ(diagram.parts.size(), 2U);
  EXPECT_TRUE(has(diagram.parts[0].branches[0], "q, k, v: 768 → 3 × 768"));
  EXPECT_TRUE(has(diagram.parts[1].branches[0], "768 → 3072"));
  EXPECT_EQ(diagram.parts[1].last, std::vector<std::string>{"LayerScale"});
  EXPECT_TRUE(has(diagram.before, "and the class token"));
  EXPECT_TRUE(has(diagram.after, "classes: 768 → 1000"));
}

TEST(ModelDiagram, OfEveryPresetIsDrawn) {
  for (const std::string& name : preset_names())
    EXPECT_GT(block_diagram_svg(model_diagram(preset(name))).size(), 1000U) << name;
}

}  // namespace
}  // namespace vit22b
