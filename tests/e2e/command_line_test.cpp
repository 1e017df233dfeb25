#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "checkpoint/container/safetensors_file.h"
#include "checkpoint/container/safetensors_writer.h"
#include "support/datasets.h"
#include "support/files.h"
#include "support/program.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::Ended;
using test::TempFolder;
using test::vit;

/// Trains a small model for a few steps on generated idx data; the folder then holds data/ and
/// run/.
std::string train_line(const TempFolder& folder, const std::string& more = "",
                       const std::string& run = "run") {
  test::write_file(folder / "c.toml", R"toml(total_steps = 6
ckpt_steps = 3
log_steps = 2
[model]
name = "test8"
img_size = 16
in_chans = 1
[data]
source = "idx"
batch_size = 8
pp_train = "value_range(-1,1)"
pp_eval = "decode|gray|value_range(-1,1)"
)toml");
  if (!fs::exists(folder / "data")) {
    test::write_idx(folder / "data", "train", 60);
    test::write_idx(folder / "data", "test", 20);
  }
  return "train " + (folder / "c.toml").string() + " data.root=" + (folder / "data").string() +
         " --out " + (folder / run).string() + " " + more;
}

TEST(CommandLine, HelpAndVersionGoToStdoutWithCode0) {
  const Ended help = vit("--help");
  EXPECT_EQ(help.code, 0);
  for (const char* command :
       {"train", "eval", "predict", "features", "model", "report", "bench", "config", "env"})
    EXPECT_NE(help.out.find(command), std::string::npos) << command;
  EXPECT_EQ(vit("--version").out, "vit22b 0.1.0\n");
  EXPECT_NE(vit("train --help").out.find("optim.lr"), std::string::npos);
}

TEST(CommandLine, UnknownCommandsAndFlagsEndWith2) {
  EXPECT_EQ(vit("trian").code, 2);
  EXPECT_EQ(vit("env --nonsense").code, 2);
  EXPECT_EQ(vit("").code, 2);
}

TEST(CommandLine, EnvTellsLibtorchAndThreads) {
  const Ended ended = vit("env --json --threads 1");
  ASSERT_EQ(ended.code, 0) << ended.err;
  const json env = json::parse(ended.out);
  EXPECT_EQ(env.at("libtorch"), "2.11.0");
  EXPECT_EQ(env.at("threads"), "1");
}

TEST(CommandLine, ADeviceThatIsNotThereEndsWith2AndNamesTheWheels) {
  const Ended ended = vit("env --device cuda");
  if (ended.code == 0) GTEST_SKIP() << "this machine has CUDA";
  EXPECT_EQ(ended.code, 2);
  EXPECT_TRUE(ended.err.find("wheels") != std::string::npos ||
              ended.err.find("usable GPU") != std::string::npos)
      << ended.err;
}

TEST(CommandLine, TheDeviceIsLoadedBeforeAnyOtherAtenCall) {
  // The dynamic linker tells each function's first call; libtorch_cuda must be asked for before
  // ATen is.
  const Ended env = vit("env --device cuda", "LD_DEBUG=bindings");
  const size_t asked = env.err.find("symbol `dlopen'");
  ASSERT_NE(asked, std::string::npos);
  std::istringstream lines(env.err.substr(0, asked));
  for (std::string line; std::getline(lines, line);)
    EXPECT_EQ(line.find("`_ZN2at4_ops"), std::string::npos) << line;
}

TEST(CommandLine, NeedsNeitherMpiNorCudaNorLibtorchSo) {
  const char* binary = std::getenv("VIT22B_BINARY");
  const TempFolder folder;
  ASSERT_EQ(
      std::system((std::string("readelf -d ") + binary + " >" + (folder / "d").string()).c_str()),
      0);
  const std::string needed = test::read_file(folder / "d");
  EXPECT_NE(needed.find("[libtorch_cpu.so]"), std::string::npos);
  for (const char* library : {"[libtorch.so]", "libtorch_cuda", "libmpi", "libcudart", "libnccl"})
    EXPECT_EQ(needed.find(library), std::string::npos) << library;
}

TEST(CommandLine, ConfigShowResolvesAndCheckNamesMistakes) {
  const TempFolder folder;
  train_line(folder);
  const std::string file = (folder / "c.toml").string();
  EXPECT_NE(vit("config show " + file + " data.root=d optim.lr=0.25").out.find("optim.lr = 0.25\n"),
            std::string::npos);
  const Ended wrong = vit("config check " + file + " optim.lrr=1");
  EXPECT_EQ(wrong.code, 2);
  EXPECT_NE(wrong.last_line().find("did you mean 'optim.lr'?"), std::string::npos);
  EXPECT_EQ(vit("config check " + file + " --set data.root=d").code, 0);
}

TEST(ModelCommand, ShowsTheExactCountsOf22b) {
  const json shown = json::parse(vit("model show 22b14 num_classes=29593 --json").out);
  EXPECT_EQ(shown.at("block_matmul_parameters"), 21'743'271'936);
  EXPECT_EQ(shown.at("body_parameters"), 21'750'251'520);
  EXPECT_EQ(shown.at("body_and_pool_parameters"), 22'203'303'936);
  EXPECT_EQ(shown.at("total_parameters"), 22'385'152'921);
  EXPECT_EQ(shown.at("parameters").at(0).at("name"), "pos_embed");
}

TEST(ModelCommand, InitWritesWhatFeaturesReads) {
  const TempFolder folder;
  const std::string model = (folder / "m").string();
  ASSERT_EQ(vit("model init test8 img_size=16x24 num_classes=3 --seed 4 --randomize-all --out " +
                model + "/")
                .code,
            0);
  FileOps ops;
  write_safetensors(ops, folder / "in", {{"images", at::randn({3, 3, 16, 24})}});
  const Ended ended = vit("features " + model + " --input " + (folder / "in").string() +
                          " --layers 0,1 --out " + (folder / "out").string());
  ASSERT_EQ(ended.code, 0) << ended.err;
  const SafetensorsFile out(folder / "out");
  EXPECT_EQ(out.entry("tokens").shape, (std::vector<int64_t>{3, 6, 32}));
  EXPECT_EQ(out.entry("pooled").shape, (std::vector<int64_t>{3, 32}));
  EXPECT_EQ(out.entry("logits").shape, (std::vector<int64_t>{3, 3}));
  EXPECT_EQ(out.entry("block.1").shape, (std::vector<int64_t>{3, 6, 32}));
  EXPECT_EQ(vit("model init test8 --out " + model).code, 2);
}

TEST(FeaturesCommand, GeneratedAndStreamedWeightsGiveTheBitsOfACheckpoints) {
  const TempFolder folder;
  FileOps ops;
  write_safetensors(ops, folder / "in", {{"images", at::randn({3, 3, 16, 24})}});
  const std::string model = "test8 ", options = "img_size=16x24 num_classes=3 ",
                    input = "--precision bf16 --batch 2 --input " + (folder / "in").string() +
                            " --out " + (folder / "out").string();
  ASSERT_EQ(vit("model init " + model + options +
                "--seed 4 --dtype bf16 --shard-size 0.02MB --out " + (folder / "m").string())
                .code,
            0);
  EXPECT_TRUE(fs::exists(folder / "m/model.safetensors.index.json"));
  std::map<std::string, at::Tensor> tokens;
  for (const std::string& line : std::vector<std::string>{
           (folder / "m").string() + " ", (folder / "m").string() + " store=streamed ",
           model + options + "--weights generated --seed 4 ",
           model + options + "--weights generated store=resident --seed 4 "}) {
    const Ended ended = vit("features " + line + input);
    ASSERT_EQ(ended.code, 0) << ended.err;
    const SafetensorsFile out(folder / "out");
    for (const char* name : {"tokens", "pooled", "logits"}) {
      const at::Tensor got = out.load(name);
      const auto [it, is_first] = tokens.emplace(name, got);
      EXPECT_TRUE(is_first || test::is_same(got, it->second)) << line << name;
    }
    EXPECT_EQ(ended.err.find("weights: ") != std::string::npos,
              line.find("streamed") != std::string::npos ||
                  (line.find("generated") != std::string::npos &&
                   line.find("resident") == std::string::npos))
        << ended.err;
  }
}

TEST(FeaturesCommand, StoresThatDoNotServeAreRefused) {
  const std::string tail = "--input in --out out";
  const auto error = [&](const std::string& line) {
    const Ended ended = vit("features " + line + " " + tail);
    EXPECT_EQ(ended.code, 2) << ended.err;
    return ended.last_line();
  };
  const std::string oracle = test::source_path("tests/oracle/timm_parallel").string();
  EXPECT_EQ(error(oracle + " store=generated"),
            "error: store 'generated': these weights are resident or streamed");
  EXPECT_EQ(error("test8 --weights generated store=streamed"),
            "error: store 'streamed': these weights are resident or generated");
  EXPECT_NE(error(oracle + " depth=3").find("options of the model go with a preset"),
            std::string::npos);
}

TEST(ModelCommand, InitThatFailsLeavesNothing) {
  const TempFolder folder;
  // A limit on file sizes stands for a full disk.
  const Ended ended =
      test::shell("bash -c 'trap \"\" XFSZ; ulimit -f 50; " + test::program() +
                  " model init test8 --shard-size 0.04MB --out " + (folder / "m").string() + "'");
  EXPECT_EQ(ended.code, 4);
  EXPECT_NE(ended.last_line().find("cannot write"), std::string::npos) << ended.err;
  EXPECT_TRUE(fs::is_empty(folder.path()));
  EXPECT_EQ(vit("model init test8 --shard-size 5 --out " + (folder / "m").string()).last_line(),
            "error: --shard-size 5: want a number with MB or GB, such as 5GB");
}

TEST(FeaturesCommand, MatchesTimmThroughTheProgram) {
  const TempFolder folder;
  for (const std::string name : {"timm_parallel", "timm_serial"}) {
    const fs::path oracle = test::source_path("tests/oracle/" + name);
    const Ended ended =
        vit("features " + oracle.string() + " --input " +
            (oracle / "expected.safetensors").string() + " --out " + (folder / name).string());
    ASSERT_EQ(ended.code, 0) << ended.err;
    EXPECT_LT(
        test::relative_difference(SafetensorsFile(folder / name).load("logits"),
                                  SafetensorsFile(oracle / "expected.safetensors").load("logits")),
        1e-5);
  }
}

TEST(TrainCommand, TrainsEvaluatesPredictsAndReports) {
  const TempFolder folder;
  const std::string run = (folder / "run").string();
  const Ended trained = vit(train_line(folder));
  ASSERT_EQ(trained.code, 0) << trained.err;
  for (const char* name : {"config.resolved.toml", "meta.json", "log.txt", "metrics.jsonl",
                           "ckpt/latest/manifest.json", "ckpt/best/model.safetensors"})
    EXPECT_TRUE(fs::exists(folder / "run" / name)) << name;
  EXPECT_NE(vit(train_line(folder)).err.find("already finished at step 6"), std::string::npos);

  const Ended evaluated = vit("eval " + run + " --json");
  ASSERT_EQ(evaluated.code, 0) << evaluated.err;
  EXPECT_EQ(json::parse(evaluated.out).at("num_examples"), 20);
  EXPECT_TRUE(fs::exists(folder / "run/results/eval-test.json"));

  const at::Tensor png =
      SafetensorsFile(test::source_path("tests/oracle/images.safetensors")).load("png/bytes");
  test::write_file(folder / "images/a.png",
                   {reinterpret_cast<const char*>(png.const_data_ptr<uint8_t>()),
                    static_cast<size_t>(png.numel())});
  const Ended wrong_size = vit("predict " + run + " " + (folder / "images").string());
  EXPECT_EQ(wrong_size.code, 2) << "the transform has no resize";
  EXPECT_NE(wrong_size.last_line().find("images are 29 x 41 pixels after their transform"),
            std::string::npos);

  const Ended reported = vit("report " + run);
  EXPECT_EQ(reported.code, 0) << reported.err;
  EXPECT_GT(fs::file_size(folder / "run/report.html"), 5000u);
  EXPECT_EQ(vit("report " + run + " " + run).last_line(),
            "error: several runs: give the page's name, --out report.html");
  EXPECT_EQ(vit("report " + run + " " + run + " --out " + (folder / "two.html").string()).code, 0);
  EXPECT_NE(test::read_file(folder / "two.html").find("All settings are equal"), std::string::npos);
  EXPECT_EQ(vit("report " + run + " --csv").out.substr(0, 9), "run,step,");
}

TEST(TrainCommand, ASecondProcessOnTheSameFolderIsRefused) {
  const TempFolder folder;
  vit(train_line(folder));
  const Ended ended = vit(train_line(folder), "flock -n " + (folder / "run/.lock").string());
  EXPECT_EQ(ended.code, 2);
  EXPECT_NE(ended.last_line().find("is in use by pid"), std::string::npos);
}

TEST(TrainCommand, AChangedConfigIsRefusedWithTheDifference) {
  const TempFolder folder;
  vit(train_line(folder));
  const Ended ended = vit(train_line(folder, "optim.lr=0.5"));
  EXPECT_EQ(ended.code, 2);
  EXPECT_NE(ended.err.find("optim.lr: 0.001 -> 0.5"), std::string::npos);
}

TEST(TrainCommand, MissingDataEndsWith3AndAnUnwritableOutputWith2Or4) {
  const TempFolder folder;
  train_line(folder);
  const std::string config = (folder / "c.toml").string();
  EXPECT_EQ(vit("train " + config + " data.root=/nowhere --out " + (folder / "x").string()).code,
            3);
  const Ended ended =
      vit("train " + config + " data.root=" + (folder / "data").string() + " --out /proc/x");
  EXPECT_TRUE(ended.code == 2 || ended.code == 4) << ended.code;
  EXPECT_NE(ended.last_line().find("/proc/x"), std::string::npos);
}

TEST(TrainCommand, AFullDiskEndsWith4AndKeepsTheCheckpoint) {
  const TempFolder folder;
  fs::create_directories(folder / "small");
  if (::mount("tmpfs", (folder / "small").c_str(), "tmpfs", 0, "size=1000k") != 0)
    GTEST_SKIP() << "mounting a small tmpfs needs root";
  const std::string line = train_line(folder, "total_steps=9", "small/run");
  const Ended ended = vit(line);
  const bool has_checkpoint = fs::exists(folder / "small/run/ckpt/latest/manifest.json");
  const Ended evaluated = vit("eval " + (folder / "small/run").string() + " --threads 1");
  ::umount((folder / "small").c_str());
  EXPECT_EQ(ended.code, 4) << ended.err;
  EXPECT_NE(ended.last_line().find("No space left on device"), std::string::npos) << ended.err;
  EXPECT_TRUE(has_checkpoint);
}

// What a model has said, in a file, is worth what the model is.
TEST(EvalCommand, MeasuresWhatHasBeenPredictedAsItMeasuresTheModel) {
  const TempFolder folder;
  const std::string run = (folder / "run").string(), file = (folder / "l.safetensors").string(),
                    data = "idx:" + (folder / "data").string();
  ASSERT_EQ(vit(train_line(folder)).code, 0);
  const Ended direct = vit("eval " + run + " --json");
  ASSERT_EQ(direct.code, 0) << direct.err;
  const Ended written =
      vit("features " + run + " --data " + data + " --split test --only logits --out " + file);
  ASSERT_EQ(written.code, 0) << written.err;
  const Ended read = vit("eval --logits " + file + " --loss sigmoid --json");
  ASSERT_EQ(read.code, 0) << read.err;
  const json want = json::parse(direct.out), got = json::parse(read.out);
  for (const char* key : {"top1", "top5", "num_examples", "confusion", "label_names"})
    EXPECT_EQ(got.at(key), want.at(key)) << key;
  for (const char* key : {"loss", "nll", "ece"})
    EXPECT_NEAR(got.at(key).get<double>(), want.at(key).get<double>(), 1e-6) << key;
  EXPECT_EQ(vit("eval").last_line(),
            "error: give a checkpoint, or --logits FILE of what a model said");
  EXPECT_EQ(vit("eval --logits " + file + " --split val").last_line(),
            "error: --split: goes with a checkpoint");
}

TEST(EvalCommand, DamagedAndMissingCheckpointsEndWith4) {
  const TempFolder folder;
  EXPECT_EQ(vit("eval /nowhere --data idx:/nowhere").code, 4);
  vit(train_line(folder));
  const fs::path file = folder / "run/ckpt/latest/model.safetensors";
  const std::string bytes = test::read_file(file);
  test::write_file(file, bytes.substr(0, bytes.size() - 100));
  const Ended ended = vit("eval " + (folder / "run").string());
  EXPECT_EQ(ended.code, 4);
  EXPECT_NE(ended.last_line().find("cut short or changed"), std::string::npos);
}

TEST(EvalCommand, EmptyImagesAndTextNamedJpgEndWith3ByName) {
  const TempFolder folder;
  ASSERT_EQ(vit("model init test8 img_size=16 num_classes=1 --out " + (folder / "m").string()).code,
            0);
  for (const auto& [content, reason] : {std::pair<std::string, std::string>{"", "is empty"},
                                        {"plain text", "is neither JPEG, PNG nor WebP"}}) {
    test::write_file(folder / "d/test/cat/a.jpg", content);
    const Ended ended =
        vit("eval " + (folder / "m").string() + " --data folder:" + (folder / "d").string());
    EXPECT_EQ(ended.code, 3);
    EXPECT_NE(ended.last_line().find("a.jpg " + reason), std::string::npos) << ended.last_line();
  }
}

TEST(TrainCommand, TrainsOnAnImageFolderNamesBadFilesAndStartsFromTimm) {
  const TempFolder folder;
  const SafetensorsFile oracle(test::source_path("tests/oracle/images.safetensors"));
  for (const std::string format : {"png", "jpeg", "webp"}) {
    const at::Tensor bytes = oracle.load(format + "/bytes");
    const std::string text(reinterpret_cast<const char*>(bytes.const_data_ptr<uint8_t>()),
                           static_cast<size_t>(bytes.numel()));
    for (int i = 0; i < 6; ++i)
      test::write_file(folder / ("d/train/" + format + "/" + std::to_string(i) +
                                 (format == "jpeg" ? ".jpg" : "." + format)),
                       text);
  }
  test::write_file(folder / "d/train/png/broken.png", "no image");
  const std::string line = "train " + test::source_path("configs/train/folder.toml").string() +
                           " data.root=" + (folder / "d").string() +
                           " total_steps=2 data.batch_size=8 model.name=test8 model.img_size=8x12 "
                           "model.patch_size=4 model.embed_dim=24 model.mlp_ratio=3.0"
                           " 'data.pp_train=decode|rgb|resize(8,12)|value_range(-1,1)' "
                           "'data.pp_eval=decode|rgb|resize(8,12)|value_range(-1,1)'";
  const Ended refused = vit(line + " --out " + (folder / "strict").string());
  EXPECT_EQ(refused.code, 3);
  EXPECT_NE(refused.err.find("broken.png is neither JPEG, PNG nor WebP"), std::string::npos)
      << refused.err;
  const Ended trained = vit(line + " data.max_bad_fraction=0.2 --init-from " +
                            test::source_path("tests/oracle/timm_parallel").string() + " --out " +
                            (folder / "run").string());
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_NE(trained.err.find("head: fresh for 3 classes, the checkpoint has 7"), std::string::npos)
      << trained.err;
  EXPECT_NE(test::read_file(folder / "run/bad_samples.txt").find("broken.png"), std::string::npos);
  const Ended predicted = vit("predict " + (folder / "run").string() + " " +
                              (folder / "d/train/webp/0.webp").string() + " --json");
  ASSERT_EQ(predicted.code, 0) << predicted.err;
  EXPECT_EQ(json::parse(predicted.out).at("predictions").size(), 3u);
}

TEST(TrainCommand, WithoutAModelOfItsOwnACheckpointsIsTrained) {
  const TempFolder folder;
  const SafetensorsFile oracle(test::source_path("tests/oracle/images.safetensors"));
  const at::Tensor bytes = oracle.load("png/bytes");
  for (const char* name : {"ant", "bee"})
    for (int i = 0; i < 6; ++i)
      test::write_file(folder / concat("d/train/", name, "/", i, ".png"),
                       {reinterpret_cast<const char*>(bytes.const_data_ptr<uint8_t>()),
                        static_cast<size_t>(bytes.numel())});
  const std::string line = "train " + test::source_path("configs/train/folder.toml").string() +
                           " data.root=" + (folder / "d").string() +
                           " total_steps=1 data.batch_size=4 --init-from " +
                           test::source_path("tests/oracle/timm_serial").string();
  const Ended trained = vit(line + " --out " + (folder / "run").string());
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_NE(trained.err.find("model vit_base_patch16_224: "), std::string::npos) << trained.err;
  EXPECT_NE(trained.err.find("head: fresh for 2 classes, the checkpoint has 7"), std::string::npos);
  const Ended again = vit(line + " --out " + (folder / "run").string());
  EXPECT_EQ(again.code, 0) << again.err;
  const Ended larger = vit(line + " model.img_size=16 model.patch_size=8 model.in_chans=3 --out " +
                           (folder / "larger").string());
  EXPECT_EQ(larger.code, 0) << larger.err;
  const Ended refused = vit(line + " model.num_heads=4 --out " + (folder / "heads").string());
  EXPECT_EQ(refused.code, 4);
  EXPECT_NE(refused.err.find("init_allow=num_heads"), std::string::npos) << refused.err;
}

TEST(BenchCommand, ChecksItsAnswerAndPrintsItsKeys) {
  for (const std::string mode : {"infer", "train"}) {
    const Ended ended = vit(
        "bench model test8 img_size=32 num_classes=7 --batch 2 --repeats 2 --json --mode " + mode);
    ASSERT_EQ(ended.code, 0) << ended.err;
    const json result = json::parse(ended.out);
    for (const char* key : {"images_per_second", "gflops", "gemm_gflops", "peak_memory_bytes",
                            "seconds_median", "seconds_spread"})
      EXPECT_GE(result.at(key).get<double>(), 0) << key;
  }
}

TEST(BenchCommand, StreamedWeightsAreMeasuredBesideResidentOnes) {
  const TempFolder folder;
  const std::string model = (folder / "m").string();
  ASSERT_EQ(vit("model init test8 --dtype bf16 --out " + model).code, 0);
  const Ended ended =
      vit("bench stream " + model + " --batch 2 --repeats 2 --cold --precision bf16 --json");
  ASSERT_EQ(ended.code, 0) << ended.err;
  const auto measured = nlohmann::json::parse(ended.out);
  for (const char* key : {"images_per_second_resident", "images_per_second_streamed",
                          "streamed_over_resident", "disk_bytes_per_second", "cold_over_bound"})
    EXPECT_GT(measured.at(key).get<double>(), 0) << key;
}

TEST(BenchCommand, HeadGridsAndLitStepsCheckTheirAnswers) {
  const json probe = json::parse(
      vit("bench probe --samples 128 --width 32 --heads 3 --classes 5 --batch 64 --json").out);
  EXPECT_LE(probe["error"], 1e-5);
  EXPECT_GT(probe["share_of_gemm"], 0);
  const json lit = json::parse(
      vit("bench lit test8 --batch 6 --vocabulary 50 --words 4 --image-width 8 --json").out);
  EXPECT_LE(lit["error"], 1e-4);
  EXPECT_GT(lit["ratio"], 0);
}

TEST(BenchCommand, KernelsAreMeasuredBesideAten) {
  for (const std::string kernel : {"gemm", "attention", "block"}) {
    const Ended ended = vit("bench " + kernel + " test8 --batch 1 --repeats 1 --json");
    ASSERT_EQ(ended.code, 0) << ended.err;
    for (const json& work : json::parse(ended.out)) {
      EXPECT_GT(work.at("gflops").get<double>(), 0);
      EXPECT_LT(work.at("relative_error").get<double>(), 1e-4) << work;
    }
  }
}

TEST(EngineFlag, NamesTheEnginesThereAre) {
  const Ended ended = vit("bench model test8 img_size=32 --batch 1 --engine fast");
  EXPECT_EQ(ended.code, 2);
  EXPECT_NE(ended.err.find("engine 'fast' is not built here; there are: fused, reference"),
            std::string::npos)
      << ended.err;
}

}  // namespace
}  // namespace vit22b
