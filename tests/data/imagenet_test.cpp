#include "data/imagenet.h"

#include <gtest/gtest.h>

namespace vit22b {
namespace {

TEST(ImageNet, ATagThatEndsInASetNamesItsClassesInTimmsOrder) {
  const auto classes = imagenet_classes({"augreg2_in21k_ft_in1k", 1000});
  ASSERT_TRUE(classes);
  EXPECT_EQ(classes->wnids.at(0), "n01440764");
  EXPECT_EQ(classes->names.at(0), "tench, Tinca tinca");
  EXPECT_EQ(classes->wnids.at(999), "n15075141");
  EXPECT_EQ(classes->names.at(999), "toilet tissue, toilet paper, bathroom tissue");
}

TEST(ImageNet, EachSetHasAsManyNamesAsItsModelsHaveOutputs) {
  const PretrainedTag tags[] = {{"sbb_in12k", 11821},
                                {"augreg_in21k", 21843},
                                {"miil_in21k", 11221},
                                {"in22k_ft_in22k", 21841},
                                {"in21k", 21841}};
  for (const PretrainedTag& tag : tags) {
    const auto classes = imagenet_classes(tag);
    ASSERT_TRUE(classes) << tag.text;
    EXPECT_EQ(static_cast<int64_t>(classes->names.size()), tag.num_classes) << tag.text;
  }
}

TEST(ImageNet, WithoutATagTheNumberTells) {
  EXPECT_EQ(imagenet_classes({"", 1000})->names.at(281), "tabby, tabby cat");
  EXPECT_FALSE(imagenet_classes({"", 1001}));
}

TEST(ImageNet, AnotherTagHasNoNamesWhateverTheNumber) {
  for (const char* tag : {"laion2b", "openai", "dino", "in1k_ijepa", "bamboo"})
    EXPECT_FALSE(imagenet_classes({tag, 1000})) << tag;
  EXPECT_FALSE(imagenet_classes({"augreg_in21k", 1000}));
  EXPECT_FALSE(imagenet_classes({"augreg_in21k_ft_in1k", 0}));
}

}  // namespace
}  // namespace vit22b
