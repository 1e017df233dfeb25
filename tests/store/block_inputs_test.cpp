#include "store/block_inputs.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "support/files.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

TEST(BlockInputs, GiveBackWhatWasPutLastBitForBit) {
  const test::TempFolder folder;
  HostInputs host;
  FileInputs file(folder.path());
  for (BlockInputs* inputs : std::initializer_list<BlockInputs*>{&host, &file})
    for (const auto& [tokens, type] :
         {std::pair{7, at::kFloat}, {3, at::kBFloat16}, {11, at::kFloat}}) {
      std::vector<at::Tensor> put;
      for (int64_t block = 0; block < 5; ++block) {
        put.push_back(at::randn({2, tokens, 13}).to(type));
        inputs->put(block, put.back());
      }
      for (int64_t block = 4; block >= 0; --block) {
        inputs->prefetch(block);
        EXPECT_TRUE(test::is_same(inputs->take(block), put[static_cast<size_t>(block)]));
      }
    }
}

// What a view reads in memory is not what it is.
TEST(BlockInputs, KeepTheValuesOfAView) {
  const test::TempFolder folder;
  FileInputs file(folder.path());
  const at::Tensor view = at::randn({5, 4}).t();
  file.put(0, view);
  EXPECT_TRUE(test::is_same(file.take(0), view.contiguous()));
}

TEST(BlockInputs, AFileHasNoNameAndNeedsAFolder) {
  const test::TempFolder folder;
  FileInputs file(folder.path());
  file.put(0, at::ones({3}));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  EXPECT_NE(test::error_of<UsageError>([&] {
              FileInputs(folder / "nowhere");
            }).find("block_inputs=file: no file can be made in"),
            std::string::npos);
}

}  // namespace
}  // namespace vit22b
