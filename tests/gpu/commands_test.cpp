#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/text.h"
#include "support/files.h"
#include "support/pictures.h"
#include "support/program.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

using nlohmann::json;
using test::Ended;
using test::TempFolder;
using test::vit;

/// Commands from the files on a GPU beside the same on the CPU: pictures of four colours with
/// captions and labels, and a model trained on them for a while.
class OnAGpuCommands : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (vit("env --device cuda").code != 0) return;
    folder_ = std::make_unique<TempFolder>();
    test::write_captioned_pictures(folder_->path());
    const std::string common = R"toml(batch_size = 16
val = "10%"
[schedule]
name = "constant"
[optim]
name = "adamw"
lr = 0.003
)toml";
    test::write_file(*folder_ / "t.toml", R"toml(total_steps = 6
log_steps = 1
[model]
name = "test8"
img_size = 16
[data]
source = "manifest"
pp_train = "decode|rgb|flip_lr|value_range(-1,1)"
pp_eval = "decode|rgb|value_range(-1,1)"
)toml" + common);
    test::write_file(*folder_ / "lit.toml", R"toml(total_steps = 6
log_steps = 1
[model]
name = "test8"
context_length = 8
[lit]
tokenizer = "train:28"
[data]
source = "manifest"
)toml" + common);
    ASSERT_EQ(train("cpu", "trained", "total_steps=60").code, 0);
  }
  static void TearDownTestSuite() { folder_.reset(); }
  void SetUp() override {
    if (folder_ == nullptr)
      GTEST_SKIP() << "NO GPU TESTED: --device cuda is not available on this machine";
  }

  static std::string at(const std::string& name) { return (*folder_ / name).string(); }
  static Ended on(const std::string& device, const std::string& arguments) {
    return vit(arguments + " --device " + device);
  }
  static Ended train(const std::string& device, const std::string& run, const std::string& more) {
    return on(device, "train " + at("t.toml") + " data.root=" + at("m.csv") + " --out " + at(run) +
                          " " + more);
  }
  static std::vector<double> losses(const std::string& run) {
    std::vector<double> all;
    std::istringstream lines(test::read_file(at(run + "/metrics.jsonl")));
    for (std::string line; std::getline(lines, line);)
      if (const json row = json::parse(line); row.contains("training_loss"))
        all.push_back(row["training_loss"]);
    return all;
  }
  /// The float32 values of a .npy file.
  static at::Tensor values_of(const std::filesystem::path& npy) {
    const std::string bytes = test::read_file(npy);
    constexpr size_t kLengthAt = 8, kPrefix = 10;
    const size_t header = kPrefix + static_cast<uint8_t>(bytes.at(kLengthAt)) +
                          256 * static_cast<size_t>(static_cast<uint8_t>(bytes.at(kLengthAt + 1)));
    const auto count = static_cast<int64_t>((bytes.size() - header) / sizeof(float));
    at::Tensor values = at::empty({count}, at::kFloat);
    std::memcpy(values.mutable_data_ptr(), bytes.data() + header,
                static_cast<size_t>(count) * sizeof(float));
    return values;
  }

  static std::unique_ptr<TempFolder> folder_;
};
std::unique_ptr<TempFolder> OnAGpuCommands::folder_;

TEST_F(OnAGpuCommands, TrainAsTheCpuDoesByEveryOption) {
  struct Case {
    const char *name, *options;
    double bound;
  };
  for (const Case& c :
       {Case{"adamw", "", 2e-4}, Case{"adafactor", "optim.name=adafactor", 2e-3},
        Case{"sgd", "optim.name=sgd optim.lr=0.05", 2e-4}, Case{"softmax", "loss=softmax", 2e-4},
        Case{"now", "update=now optim.clip_norm=0", 2e-4}, Case{"host", "state=host", 2e-4},
        Case{"recompute", "activation=recompute", 2e-4}, Case{"accumulate", "accumulate=2", 2e-4},
        Case{"inputs", "block_inputs=host activation=recompute", 2e-4},
        Case{"mixup", "data.mixup=0.5", 2e-4}, Case{"polyak", "optim.polyak=0.9", 2e-4},
        Case{"reference", "--engine reference", 2e-4},
        Case{"serial", "model.block=serial model.class_token=true", 2e-4},
        Case{"bf16", "--precision bf16", 2e-2}}) {
    const Ended cpu = train("cpu", concat("cpu_", c.name), c.options),
                gpu = train("cuda", concat("gpu_", c.name), c.options);
    EXPECT_EQ(cpu.code, 0) << c.name << cpu.err;
    EXPECT_EQ(gpu.code, 0) << c.name << gpu.err;
    if (cpu.code != 0 || gpu.code != 0) continue;
    const std::vector<double> want = losses(concat("cpu_", c.name)),
                              got = losses(concat("gpu_", c.name));
    ASSERT_EQ(want.size(), 6U) << c.name;
    ASSERT_EQ(got.size(), 6U) << c.name;
    for (size_t i = 0; i < want.size(); ++i)
      EXPECT_NEAR(got[i], want[i], c.bound * std::abs(want[i])) << c.name << ", step " << i + 1;
  }
}

TEST_F(OnAGpuCommands, GoOnBitForBit) {
  for (const std::string options : {"", "--precision bf16 optim.name=adafactor", "state=host"}) {
    ASSERT_EQ(train("cuda", "whole", options + " --no-resume").code, 0);
    ASSERT_EQ(train("cuda", "cut", options + " total_steps=3 --no-resume").code, 0);
    const Ended rest = train("cuda", "cut", options);
    ASSERT_EQ(rest.code, 0) << rest.err;
    EXPECT_EQ(test::read_file(at("whole/ckpt/latest/model.safetensors")),
              test::read_file(at("cut/ckpt/latest/model.safetensors")))
        << options;
  }
}

TEST_F(OnAGpuCommands, MeasureWhatTheCpuMeasures) {
  const std::string data = " --train " + at("m.csv") + " --json --cache ";
  struct Case {
    const char* name;
    std::string arguments, key;
  };
  for (const Case& c :
       {Case{"eval", "eval " + at("trained") + " --json", "loss"},
        Case{"eval_bf16", "eval " + at("trained") + " --precision bf16 --json", "top1"},
        Case{"knn", "knn " + at("trained") + " --k 5" + data + at("cache_"), "accuracy"},
        Case{"probe", "probe " + at("trained") + " --c 1" + data + at("cache_"), "accuracy"},
        Case{"grid", "probe " + at("trained") + " --method grid" + data + at("cache_"), "accuracy"},
        Case{"fewshot", "fewshot " + at("trained") + " --shots 5" + data + at("cache_"),
             "accuracy"}}) {
    const bool has_cache = c.arguments.ends_with("cache_");
    const Ended cpu = on("cpu", c.arguments + (has_cache ? "cpu" : "")),
                gpu = on("cuda", c.arguments + (has_cache ? "gpu" : ""));
    EXPECT_EQ(cpu.code, 0) << c.name << cpu.err;
    EXPECT_EQ(gpu.code, 0) << c.name << gpu.err;
    if (cpu.code != 0 || gpu.code != 0) continue;
    json want = json::parse(cpu.out)[c.key], got = json::parse(gpu.out)[c.key];
    if (want.is_object()) want = *want.begin(), got = *got.begin();
    EXPECT_NEAR(got.get<double>(), want.get<double>(), 0.07) << c.name;
  }
}

TEST_F(OnAGpuCommands, PredictAndExplainAsTheCpuDoes) {
  for (const std::string method : {"attention", "pca"}) {
    const std::string line = "explain " + at("trained") + " " + at("p0.png") + " " + at("p1.png") +
                             " --method " + method + " --out ";
    const Ended cpu = on("cpu", line + at("cpu_" + method)),
                gpu = on("cuda", line + at("gpu_" + method));
    ASSERT_EQ(cpu.code, 0) << method << cpu.err;
    ASSERT_EQ(gpu.code, 0) << method << gpu.err;
    int num_compared = 0;
    for (const auto& entry : std::filesystem::directory_iterator(*folder_ / ("cpu_" + method)))
      if (entry.path().extension() == ".npy") {
        const at::Tensor want = values_of(entry.path()),
                         got = values_of(*folder_ / ("gpu_" + method) / entry.path().filename());
        EXPECT_LT(test::relative_difference(got, want), 1e-3) << entry.path();
        ++num_compared;
      }
    EXPECT_EQ(num_compared, 2) << method;
  }
  const std::string predict = "predict " + at("trained") + " " + at("p1.png") + " --json";
  const json want = json::parse(on("cpu", predict).out), got = json::parse(on("cuda", predict).out);
  EXPECT_EQ(got["predictions"][0]["label"], want["predictions"][0]["label"]);
}

TEST_F(OnAGpuCommands, TextTowersTrainAndNameClasses) {
  const auto lit = [](const std::string& device, const std::string& more) {
    return on(device, "lit " + at("lit.toml") + " data.root=" + at("m.csv") + " lit.image_tower=" +
                          at("trained") + " --out " + at("lit_" + device) + " " + more);
  };
  for (const std::string more :
       {"--no-resume", "--no-resume loss=softmax", "--no-resume lit.images=live",
        "--no-resume lit.unlock=all lit.images=live"}) {
    const Ended cpu = lit("cpu", more), gpu = lit("cuda", more);
    EXPECT_EQ(cpu.code, gpu.code) << more << gpu.err << cpu.err;
    if (cpu.code != 0 || gpu.code != 0) continue;
    const auto want = losses("lit_cpu"), got = losses("lit_cuda");
    ASSERT_EQ(want.size(), got.size());
    for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-3) << more << i;
  }
  const std::string zeroshot = "zeroshot " + at("lit_cuda") + " --data " + at("m.csv") + " --json",
                    retrieve = "retrieve " + at("lit_cuda") + " --data " + at("m.csv") + " --json";
  const Ended named = on("cuda", zeroshot), found = on("cuda", retrieve);
  ASSERT_EQ(named.code, 0) << named.err;
  ASSERT_EQ(found.code, 0) << found.err;
  EXPECT_NEAR(json::parse(named.out)["accuracy"].get<double>(),
              json::parse(on("cpu", zeroshot).out)["accuracy"].get<double>(), 0.07);
}

TEST_F(OnAGpuCommands, StudentsLearnFromTeachers) {
  for (const std::string logits : {"live", "cached"}) {
    const auto distill = [&](const std::string& device) {
      return on(device,
                "distill " + at("t.toml") + " data.root=" + at("m.csv") + " 'distill.teachers=[\"" +
                    at("trained") + "\"]' distill.logits=" + logits +
                    " data.pp_train='decode|rgb|value_range(-1,1)' --out " + at(logits + device));
    };
    const Ended cpu = distill("cpu"), gpu = distill("cuda");
    EXPECT_EQ(cpu.code, 0) << logits << cpu.err;
    EXPECT_EQ(gpu.code, 0) << logits << gpu.err;
    if (cpu.code != 0 || gpu.code != 0) continue;
    const auto want = losses(logits + "cpu"), got = losses(logits + "cuda");
    ASSERT_EQ(want.size(), got.size());
    for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-3) << logits << i;
  }
}

TEST_F(OnAGpuCommands, OutOfMemoryAndMissingDevicesSayWhatToDo) {
  EXPECT_EQ(on("cuda:99", "env").code, 2);
  const Ended large = on("cuda", "bench model h14 --batch 4096 --mode train --repeats 1");
  EXPECT_EQ(large.code, 2) << large.err;
  EXPECT_NE(large.last_line().find("memory"), std::string::npos) << large.last_line();
}

}  // namespace
}  // namespace vit22b
