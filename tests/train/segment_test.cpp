#include "train/tasks/segment.h"

#include <gtest/gtest.h>

#include "checkpoint/run_checkpoint.h"
#include "core/error.h"
#include "eval/pixel_predictor.h"
#include "measure/segmentation.h"
#include "support/masked_pictures.h"
#include "support/mesh_run.h"
#include "support/small_run.h"
#include "support/tensors.h"
#include "train/run_folder.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using test::TempFolder;

/// Runs of a tiny model on pictures of two halves.
class Segmentation : public testing::Test {
 protected:
  Segmentation() { test::write_masked_pictures(folder_ / "data"); }

  TrainConfig config(const std::vector<std::string>& overrides) const {
    std::vector<std::string> all = {
        "task=segment",
        "data.source=masks",
        "data.val=val",
        "data.pp_eval=decode|rgb|resize(16)|value_range(-1,1)",
        "data.pp_train=decode|rgb|resize(16,keys=\"image,mask\")|flip_lr("
        "keys=\"image,mask\")|value_range(-1,1)",
        "model.in_chans=3",
        "model.patch_size=4",
        "data.batch_size=8",
        "segment.channels=8",
        "segment.aux_channels=4",
        "segment.unlock=all"};
    all.insert(all.end(), overrides.begin(), overrides.end());
    return test::eight_steps(folder_ / "data", all);
  }
  fs::path run(const std::string& name, const std::vector<std::string>& overrides) const {
    test::run_quietly(config(overrides), folder_ / name);
    return folder_ / name;
  }
  NamedTensors weights(const fs::path& run) const {
    RunCheckpoint saved = load_run_checkpoint(run / "ckpt/latest");
    NamedTensors all = saved.weights;
    const CheckpointPath place = resolve_checkpoint(run);
    for (const auto& [name, tensor] :
         load_segmentation_head(place, *saved.info.segmentation, saved.info.config))
      all["head of " + name] = tensor;
    return all;
  }
  void expect_same(const fs::path& a, const fs::path& b, double tolerance) const {
    const NamedTensors one = weights(a), other = weights(b);
    ASSERT_EQ(one.size(), other.size());
    for (const auto& [name, tensor] : one) {
      if (tolerance == 0)
        EXPECT_TRUE(test::is_same(tensor, other.at(name))) << name;
      else
        EXPECT_LT(test::relative_difference(other.at(name), tensor), tolerance) << name;
    }
  }
  double miou(const fs::path& run, const SegmentOptions& how = {}) const {
    LoadedPixelPredictor loaded = load_pixel_predictor(run, {}, how);
    const auto source = with_mask_classes(open_source((folder_ / "data").string(), "val"), {}, 2);
    return measure_segmentation(*loaded.pixels, *loaded.model.predictor, *source,
                                Transforms(loaded.model.info.pp_eval), {.batch_size = 4},
                                SegmentationMeasure(loaded.info.names))
        .number("miou");
  }
  TempFolder folder_;
};

const std::vector<std::string> kSgd = {"optim.name=sgd", "optim.lr=0.05"};

std::vector<std::string> with(std::vector<std::string> more) {
  more.insert(more.begin(), kSgd.begin(), kSgd.end());
  return more;
}

TEST_F(Segmentation, OfEachHeadLearnsWhichHalfIsWhich) {
  for (const char* head : {"linear", "bn_linear", "upernet"}) {
    const fs::path out = run(head, {concat("segment.head=", head), "total_steps=60",
                                    "optim.lr=0.01", "segment.dropout=0.1", "data.batch_size=12"});
    EXPECT_GT(miou(out), 0.8) << head;
    const ModelInfo info = read_model_info(resolve_checkpoint(out));
    EXPECT_EQ(info.segmentation->names, (std::vector<std::string>{"red", "blue"}));
    EXPECT_EQ(info.config.num_classes, 0);
  }
}

TEST_F(Segmentation, StoppedAndGoneOnWithEqualsOneRun) {
  const std::vector<std::string> how = {"segment.head=upernet", "segment.dropout=0.2"};
  const fs::path whole = run("whole", how);
  std::vector<std::string> half = how;
  half.emplace_back("total_steps=4");
  run("half", half);
  expect_same(whole, run("half", how), 0);
}

TEST_F(Segmentation, OnAnyMeshAndStoreEqualsOneProcess) {
  for (const char* head : {"bn_linear", "linear"}) {
    const std::string of = concat("segment.head=", head);
    const fs::path one = run(concat("one-", head), with({of}));
    struct Case {
      MeshShape shape;
      const char* store;
    };
    for (const Case& c :
         {Case{{2, 1}, "resident"}, Case{{1, 2}, "resident"}, Case{{2, 1}, "sharded"}}) {
      const fs::path out = folder_ / concat(head, c.shape.data, c.shape.model, c.store);
      test::train_on(c.shape,
                     config(with({of, concat("store=", c.store), concat("mesh.data=", c.shape.data),
                                  concat("mesh.model=", c.shape.model)})),
                     out);
      // fp32 sums of 8 steps in another order.
      expect_same(one, out, 2e-4);
    }
  }
}

TEST_F(Segmentation, AccumulatesWhatIsOfOnePictureAlone) {
  const fs::path one = run("one", with({}));
  expect_same(one, run("pieces", with({"accumulate=2"})), 2e-4);
  EXPECT_TRUE(SegmentConfig().is_mean_over_images());
  SegmentConfig with_norm;
  with_norm.head.head = "bn_linear";
  EXPECT_FALSE(with_norm.is_mean_over_images());
}

/// Which of a run's weights are another's.
std::set<std::string> equal_weights(const NamedTensors& a, const NamedTensors& b) {
  std::set<std::string> equal;
  for (const auto& [name, tensor] : a)
    if (b.count(name) != 0 && at::equal(tensor, b.at(name))) equal.insert(name);
  return equal;
}

TEST_F(Segmentation, TrainsWhatUnlockSays) {
  const fs::path first = run("first", {"total_steps=1"});
  const std::string from = "init_from=" + first.string();
  const NamedTensors before = weights(first);
  const auto kept = [&](const std::string& name, const std::vector<std::string>& overrides) {
    std::vector<std::string> all = {from, "total_steps=2"};
    all.insert(all.end(), overrides.begin(), overrides.end());
    return equal_weights(before, weights(run(name, all)));
  };
  const auto frozen = kept("frozen", {"segment.unlock=none"});
  EXPECT_EQ(frozen.count("blocks.1.in_proj.weight"), 1U);
  EXPECT_EQ(frozen.count("norm.weight"), 1U);
  const auto last = kept("last", {"segment.unlock=1"});
  EXPECT_EQ(last.count("blocks.0.in_proj.weight"), 1U);
  EXPECT_EQ(last.count("blocks.1.in_proj.weight"), 0U);
  EXPECT_EQ(last.count("norm.weight"), 0U);
  // What stands above the last map has no part; decay must not touch it either.
  const auto below = kept("below", {"segment.layers=0"});
  EXPECT_EQ(below.count("blocks.0.in_proj.weight"), 0U);
  EXPECT_EQ(below.count("blocks.1.in_proj.weight"), 1U);
  EXPECT_EQ(below.count("attn_pool.latent"), before.count("attn_pool.latent"));
}

TEST_F(Segmentation, FromTheCacheEqualsThatOfEveryStep) {
  const fs::path first = run("first", {"total_steps=1"});
  const std::vector<std::string> how = {"init_from=" + first.string(),
                                        "segment.unlock=none",
                                        "segment.head=bn_linear",
                                        "optim.name=sgd",
                                        "optim.lr=0.05",
                                        "data.pp_train=",
                                        "segment.layers=0,1"};
  std::vector<std::string> cached = how, live = how;
  cached.emplace_back("segment.features=cached");
  live.back() = "segment.layers=0,1";
  live.emplace_back("data.pp_train=decode|rgb|resize(16,keys=\"image,mask\")|value_range(-1,1)");
  const NamedTensors a = weights(run("cached", cached)), b = weights(run("live", live));
  // The cache has bfloat16: 8 bits.
  for (const auto& [name, tensor] : a)
    EXPECT_LT(test::relative_difference(b.at(name), tensor), 2e-2) << name;
  expect_same(run("again", cached), folder_ / "cached", 0);
}

TEST_F(Segmentation, OverAModelThatIsReadAnewInEveryPassEqualsThatOverOneInMemory) {
  const fs::path first = run("first", {"total_steps=1"});
  const std::vector<std::string> how = with({"init_from=" + first.string(), "segment.unlock=none",
                                             "segment.head=bn_linear", "segment.layers=0,1"});
  std::vector<std::string> streamed = how;
  streamed.insert(streamed.end(), {"store=streamed", "activation=recompute"});
  const auto head = [](const fs::path& run) {
    const CheckpointPath place = resolve_checkpoint(run);
    const ModelInfo info = read_model_info(place);
    return load_segmentation_head(place, *info.segmentation, info.config);
  };
  const NamedTensors a = head(run("resident", how)), b = head(run("streamed", streamed));
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a)
    EXPECT_LT(test::relative_difference(b.at(name), tensor), 1e-6) << name;
  EXPECT_DOUBLE_EQ(miou(folder_ / "streamed"), miou(folder_ / "resident"));
}

TEST_F(Segmentation, RefusesWhatDoesNotGoTogether) {
  const auto error = [&](const std::vector<std::string>& overrides) {
    return test::error_of<UsageError>([&] { run("refused", overrides); });
  };
  EXPECT_NE(error({"segment.features=cached"}).find("give init_from"), std::string::npos);
  EXPECT_NE(error({"segment.unlock=some"}).find("want none, all, or a number"), std::string::npos);
  EXPECT_NE(error({"segment.layers=7"}).find("blocks of the model, 0 to 1"), std::string::npos);
  EXPECT_NE(error({"segment.layers=1,0"}).find("from the lowest to the last"), std::string::npos);
  EXPECT_NE(error({"data.mixup=0.5"}).find("mixed pictures have no masks"), std::string::npos);
  EXPECT_NE(error({"data.pp_train=decode|rgb|resize(16)|flip_lr|value_range(-1,1)"})
                .find("moves pictures and not their masks"),
            std::string::npos);
  EXPECT_NE(error({"segment.num_classes=3"}).find("has 2 names of classes"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder_ / "refused"));
}

TEST_F(Segmentation, CountsClassesWithoutNames) {
  fs::remove(folder_ / "data/classes.txt");
  const ModelInfo info = read_model_info(resolve_checkpoint(run("numbers", {"total_steps=1"})));
  EXPECT_EQ(info.segmentation->names, (std::vector<std::string>{"0", "1"}));
}

TEST_F(Segmentation, LeavesOutAMaskOfAnotherSizeAndCountsIt) {
  test::write_mask(folder_ / "data/masks/train/3.png", at::zeros({9, 16}, at::kInt));
  const fs::path out = run("run", {"data.max_bad_fraction=0.1"});
  EXPECT_NE(test::read_file(out / "bad_samples.txt").find("images/train/3.png"), std::string::npos);
}

TEST_F(Segmentation, OfWindowsAndScalesCoversEveryPixel) {
  const fs::path out = run("run", {"total_steps=40", "optim.lr=0.01", "data.any_size=true"});
  const double whole = miou(out);
  EXPECT_GT(miou(out, {.window = 8, .stride = 4}), 0.6 * whole);
  EXPECT_GT(miou(out, {.scales = {0.75, 1, 1.5}, .has_flips = true}), 0.8 * whole);
  EXPECT_THROW(miou(out, {.window = 6}), UsageError);
  EXPECT_THROW(miou(out, {.window = 8, .stride = 9}), UsageError);
}

TEST(Windows, CoverEachPixelAndEndAtTheEdge) {
  for (int64_t size = 1; size < 40; ++size)
    for (int64_t stride = 1; stride <= 12; ++stride) {
      constexpr int64_t kWindow = 12;
      const std::vector<int64_t> starts = window_starts(size, kWindow, stride);
      std::vector<int> seen(static_cast<size_t>(size));
      for (const int64_t start : starts)
        for (int64_t i = start; i < std::min(start + kWindow, size); ++i)
          ++seen.at(static_cast<size_t>(i));
      EXPECT_EQ(*std::min_element(seen.begin(), seen.end()) > 0, true) << size << " " << stride;
      EXPECT_EQ(starts.back(), std::max<int64_t>(0, size - kWindow));
    }
  // facebookresearch/dinov3 eval/segmentation/inference.py: 512 of 1000 in strides of 341.
  EXPECT_EQ(window_starts(1000, 512, 341), (std::vector<int64_t>{0, 341, 488}));
}

TEST(ClassesOnPicture, FollowCropsMirrorsAndSizes) {
  // Two places: the left one is class 1, the right one class 0.
  const ViewScores view{at::tensor({0.F, 1.F, 1.F, 0.F}).view({1, 2, 2}), 4, 8, 4, 8};
  const auto row = [&](const Geometry& geometry) {
    const at::Tensor classes = classes_on_picture(view, geometry);
    std::string text;
    for (int64_t x = 0; x < classes.size(1); ++x) text += std::to_string(classes[0][x].item<int>());
    return text;
  };
  EXPECT_EQ(row({}), "11110000");
  EXPECT_EQ(row({.source_height = 8, .source_width = 16, .scale_y = 2, .scale_x = 2}),
            "1111111100000000");
  // A crop from column 4 on: what is left of it has the class at its edge.
  EXPECT_EQ(row({.source_height = 4,
                 .source_width = 12,
                 .scale_y = 1,
                 .offset_y = 0,
                 .scale_x = 1,
                 .offset_x = 4}),
            "111111110000");
  EXPECT_EQ(row({.source_height = 4, .source_width = 8, .scale_x = -1, .offset_x = 8}), "00001111");
}

}  // namespace
}  // namespace vit22b
