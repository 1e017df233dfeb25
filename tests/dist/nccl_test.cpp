#include "dist/nccl.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "core/device.h"
#include "core/error.h"
#include "support/files.h"

namespace vit22b {
namespace {

// Two ranks on one GPU are refused by NCCL: one machine shows a world of one.
TEST(OnAGpuNccl, AWorldOfOneKeepsItsTensors) {
  if (std::getenv("VIT22B_TEST_DEVICE") == nullptr) GTEST_SKIP() << "no GPU was asked for";
  const auto ranks = make_nccl(nccl_unique_id(), {.deadline_s = 60});
  const at::Tensor x = at::arange(12, at::kFloat).view({4, 3}).to(at::kCUDA), want = x.clone();
  ranks->all_reduce_(x, Reduction::kSum, "sum");
  EXPECT_TRUE(at::equal(x, want));
  const at::Tensor gathered = at::empty_like(x), part = at::empty_like(x);
  ranks->all_gather(x, gathered, "rows");
  ranks->start_reduce_scatter(x, part, "rows")->wait();
  ranks->broadcast_(x, 0, "root");
  EXPECT_TRUE(at::equal(gathered, want) && at::equal(part, want) && at::equal(x, want));
  const at::Tensor on_host = at::ones({2}, at::kDouble);
  ranks->all_reduce_(on_host, Reduction::kMax, "host");
  EXPECT_EQ(on_host[1].item<double>(), 1);
  EXPECT_EQ(ranks->gather_text("only one").front(), "only one");
}

TEST(Nccl, WithoutItTheErrorNamesTheWheel) {
  if (std::getenv("VIT22B_TEST_DEVICE") != nullptr) GTEST_SKIP() << "NCCL is there";
  EXPECT_NE(test::error_of<UsageError>([] { nccl_unique_id(); }).find("nvidia-nccl-cu13"),
            std::string::npos);
}

}  // namespace
}  // namespace vit22b
