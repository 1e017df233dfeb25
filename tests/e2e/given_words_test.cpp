#include "cli/given_words.h"

#include <gtest/gtest.h>

#include "support/files.h"

namespace vit22b {
namespace {

using Words = std::vector<std::string>;

TEST(GivenWords, GoIntoTheCheckpointsOwnWord) {
  EXPECT_EQ(with_given_keys({"features", "--threads=1", "vit.pth", "photos/", "model.num_heads=3",
                             "--out", "f", "model.norm_eps=1e-5"}),
            (Words{"features", "--threads=1", "vit.pth?num_heads=3&norm_eps=1e-5", "photos/",
                   "--out", "f"}));
}

TEST(GivenWords, AStoreIsAnOptionOfWhoReadsACheckpoint) {
  EXPECT_EQ(with_given_keys({"predict", "CKPT", "photos/", "store=streamed"}),
            (Words{"predict", "CKPT", "photos/", "--store=streamed"}));
  for (const char* command : {"train", "features"}) {
    const Words words = {command, "CKPT", "store=streamed"};
    EXPECT_EQ(with_given_keys(words), words);
  }
}

TEST(GivenWords, OfConfigsAreOverridesAsBefore) {
  const Words words = {"train", "c.toml", "model.depth=3"};
  EXPECT_EQ(with_given_keys(words), words);
  EXPECT_EQ(with_given_keys({}), Words{});
  EXPECT_EQ(with_given_keys({"eval", "model.depth=3"}), (Words{"eval", "model.depth=3"}));
}

TEST(GivenWords, OfTwoCheckpointsBelongToTheOneBefore) {
  const test::TempFolder folder;
  const std::string a = (folder / "a.pth").string(), b = (folder / "b.pth").string();
  test::write_file(a, "");
  test::write_file(b, "");
  EXPECT_EQ(with_given_keys({"compare", a, "model.num_heads=3", b, "model.num_heads=4"}),
            (Words{"compare", a + "?num_heads=3", b + "?num_heads=4"}));
}

}  // namespace
}  // namespace vit22b
