#include "store/streamed.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "checkpoint/container/safetensors_file.h"
#include "checkpoint/model_writer.h"
#include "core/error.h"
#include "model/initialise.h"
#include "store/file_source.h"
#include "store/generated.h"
#include "store/resident.h"
#include "support/files.h"
#include "support/tensors.h"
#include "support/tiny_model.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::TempFolder;

constexpr uint64_t kSeed = 5;

/// A model whose blocks and pool are large beside its other units, in sizes that fit no vector.
ViTConfig wide_config() {
  ViTConfig config = test::tiny_config();
  config.embed_dim = 39;
  config.mlp.mlp_ratio = 8;
  config.depth = 5;
  return config;
}

WholeTensor randomised() {
  return [](const ParameterRow& row) { return randomised_tensor(row, kSeed); };
}

void write_checkpoint(const fs::path& folder, const ViTConfig& config, const WholeTensor& whole,
                      const WeightLayout& layout = {}) {
  FileOps ops;
  ops.make_folder(folder);
  Manifest manifest;
  write_model(ops, folder, {config, default_pp_eval(config), {}}, whole, layout, manifest);
  write_manifest(ops, folder, manifest);
}

std::unique_ptr<StreamedStore> streamed(const fs::path& folder, const ViTConfig& config,
                                        at::ScalarType type = at::kFloat, bool is_staged = false) {
  const std::vector<ParameterRow> table = parameter_table(config);
  return std::make_unique<StreamedStore>(table, std::make_unique<FileSource>(folder, table), type,
                                         c10::kCPU, is_staged);
}

/// Tokens, logits and the images' gradient, through forward and backward pass.
std::vector<at::Tensor> results(const ViTConfig& config, WeightStore& store,
                                const std::string& engine_name, at::ScalarType type) {
  const at::NoGradGuard no_grad;
  at::manual_seed(1);
  const at::Tensor images =
      at::randn({3, config.in_chans, config.img_size.height, config.img_size.width});
  const auto engine = make_engine(engine_name);
  const ModelContext context{config, *engine, single_process(), type};
  VitTape tape;
  const VitOutputs plain = vit_forward(context, store, images, {});
  const VitOutputs taped =
      vit_forward(context, store, images, {.tape = &tape, .is_image_trained = true});
  const at::Tensor gradient =
      vit_backward(context, store, tape, {.logits_BC = at::ones_like(taped.logits_BC)}, nullptr);
  return {plain.tokens_BTD, plain.logits_BC, taped.logits_BC, gradient};
}

void expect_same(const std::vector<at::Tensor>& got, const std::vector<at::Tensor>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(test::is_same(got[i], want[i])) << i;
}

TEST(StreamedStore, GivesTheBitsOfAResidentModel) {
  const TempFolder folder;
  const ViTConfig config = wide_config();
  const std::vector<ParameterRow> table = parameter_table(config);
  write_checkpoint(folder / "m", config, randomised());
  for (const std::string engine : {"reference", "fused"})
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      FunctionSource source(randomised());
      ResidentStore resident(table, source, c10::kCPU, single_process());
      // Through other memory too, as a GPU's slots are filled.
      for (const bool is_staged : {false, true}) {
        const auto store =
            streamed(folder / "m", config,
                     make_engine(engine)->rounds_weights(type) ? type : at::kFloat, is_staged);
        expect_same(results(config, *store, engine, type), results(config, resident, engine, type));
      }
    }
}

TEST(StreamedStore, GeneratesTheBitsThatInitialisationWrites) {
  const ViTConfig config = wide_config();
  const std::vector<ParameterRow> table = parameter_table(config);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    StreamedStore store(table, std::make_unique<GeneratedSource>(kSeed), type);
    for (const ParameterRow& row : table)
      EXPECT_TRUE(
          test::is_same(store.acquire(row.unit, Pass::kForward).weights().at(row.local_name),
                        initial_tensor(row, kSeed).to(held_type(row, type))))
          << row.name;
  }
}

TEST(StreamedStore, ReadsBFloat16FilesAndShardsToTheSameBits) {
  const TempFolder folder;
  const ViTConfig config = wide_config();
  write_checkpoint(folder / "one", config, randomised(), {.dtype = at::kBFloat16});
  write_checkpoint(folder / "many", config, randomised(),
                   {.dtype = at::kBFloat16, .shard_bytes = 20'000});
  EXPECT_TRUE(fs::exists(folder / "many/model.safetensors.index.json"));
  for (const auto& entry : fs::directory_iterator(folder / "many")) {
    if (entry.path().extension() != ".safetensors") continue;
    const SafetensorsFile shard(entry.path());
    size_t bytes = 0;
    for (const auto& [name, tensor] : shard.entries()) bytes += tensor.size_bytes();
    EXPECT_TRUE(bytes <= 20'000 || shard.entries().size() == 1) << entry.path();
  }
  write_checkpoint(folder / "wide", config, randomised());
  const auto want = results(config, *streamed(folder / "wide", config, at::kBFloat16), "reference",
                            at::kBFloat16);
  for (const char* name : {"one", "many"})
    for (const at::ScalarType held : {at::kFloat, at::kBFloat16})
      expect_same(
          results(config, *streamed(folder / name, config, held), "reference", at::kBFloat16),
          want);
}

TEST(StreamedStore, ReadsAheadInBothDirectionsAndOnceAUnit) {
  const TempFolder folder;
  const ViTConfig config = wide_config();
  write_checkpoint(folder / "m", config, randomised());
  const auto store = streamed(folder / "m", config);
  const auto large = [](const Unit& unit) {
    return unit.kind == UnitKind::kBlock || unit.kind == UnitKind::kPool;
  };
  std::vector<Unit> units = model_units(config);
  for (const Pass pass : {Pass::kForward, Pass::kBackward}) {
    for (const Unit& unit : units) store->acquire(unit, pass);
    std::reverse(units.begin(), units.end());
  }
  const int64_t num_large = std::count_if(units.begin(), units.end(), large);
  EXPECT_EQ(num_large, config.depth + 1);
  // The pool, last of the forward pass, is still there for the backward pass; so is the block
  // before it.
  EXPECT_EQ(store->traffic().units, 2 * num_large - 2);
  EXPECT_GT(store->traffic().bytes, 0);
  EXPECT_NE(store->transfers_text().find("10 units read"), std::string::npos);
}

/// Counts how often parameters are let go; reads as fast as it is told.
class ReleasedSource : public GeneratedSource {
 public:
  ReleasedSource(std::map<std::string, int>& counts, std::chrono::milliseconds seconds)
      : GeneratedSource(/*seed=*/1), counts_(counts), seconds_(seconds) {}
  void read(const ParameterRow& row, at::Tensor& target) override {
    std::this_thread::sleep_for(seconds_);
    target.zero_();
  }
  void release(const ParameterRow& row) override { ++counts_[row.name]; }
  bool is_computing() const override { return false; }

 private:
  std::map<std::string, int>& counts_;
  std::chrono::milliseconds seconds_;
};

/// How often each block was let go in two passes.
std::vector<int> let_go(int reading_ms, int computing_ms, double cached_blocks) {
  const ViTConfig config = wide_config();
  const std::vector<ParameterRow> table = parameter_table(config);
  double of_a_block = 0;
  for (const ParameterRow& row : table)
    if (row.unit == block_unit(0)) of_a_block += static_cast<double>(4 * row.count());
  std::map<std::string, int> counts;
  StreamedStore store(
      table, std::make_unique<ReleasedSource>(counts, std::chrono::milliseconds(reading_ms)),
      at::kFloat, c10::kCPU, /*is_staged=*/false, static_cast<int64_t>(cached_blocks * of_a_block));
  for (int pass = 0; pass < 2; ++pass)
    for (const Unit& unit : model_units(config)) {
      const UnitLease lease = store.acquire(unit, Pass::kForward);
      std::this_thread::sleep_for(std::chrono::milliseconds(computing_ms));
    }
  std::vector<int> of_blocks;
  for (int64_t i = 0; i < config.depth; ++i)
    of_blocks.push_back(counts[concat("blocks.", i, ".in_proj.weight")]);
  return of_blocks;
}

TEST(StreamedStore, WhatIsWaitedForStaysInTheSystemsCacheAsFarAsThatHoldsIt) {
  EXPECT_EQ(let_go(2, 0, 100), (std::vector<int>{0, 0, 0, 0, 0}));
  EXPECT_EQ(let_go(2, 0, 2.5), (std::vector<int>{0, 0, 2, 2, 2}));
}

TEST(StreamedStore, WhatHidesBehindComputingIsLetGo) {
  // Long enough that a busy machine's delays are short beside it.
  const std::vector<int> counts = let_go(0, 100, 100);
  EXPECT_GE(counts[3] + counts[4], 3);
}

TEST(StreamedStore, BeginsTheNextPassWhereOnePassFollowsAnother) {
  using namespace std::chrono_literals;
  const TempFolder folder;
  const ViTConfig config = wide_config();
  write_checkpoint(folder / "m", config, randomised());
  const auto store = streamed(folder / "m", config);
  const int64_t num_large = config.depth + 1;
  const auto forward = [&] {
    for (const Unit& unit : model_units(config)) store->acquire(unit, Pass::kForward);
  };
  forward();
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(store->traffic().units, num_large);  // nothing for a pass that may not come
  forward();
  for (int i = 0; i < 2'000 && store->traffic().units < 2 * num_large + 1; ++i)
    std::this_thread::sleep_for(5ms);
  EXPECT_EQ(store->traffic().units, 2 * num_large + 1);
  const int64_t stalls = store->traffic().stalls;
  store->acquire(block_unit(0), Pass::kForward);
  EXPECT_EQ(store->traffic().stalls, stalls);
}

TEST(StreamedStore, LeasesOfThreeUnitsAtOnceAreAMistakeThatIsNamed) {
  const ViTConfig config = wide_config();
  StreamedStore store(parameter_table(config), std::make_unique<GeneratedSource>(0), at::kFloat);
  const UnitLease a = store.acquire(block_unit(0), Pass::kForward),
                  b = store.acquire(block_unit(1), Pass::kForward);
  EXPECT_NE(error_of<InternalError>([&] {
              store.acquire(block_unit(2), Pass::kForward);
            }).find("leases of two units are held while block 2 is acquired"),
            std::string::npos);
}

/// Overwrites one byte in the middle of a tensor.
void damage(const fs::path& file, const std::string& tensor) {
  const SafetensorsFile opened(file);
  const SafetensorsFile::Entry& entry = opened.entry(tensor);
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekp(static_cast<std::streamoff>(entry.offset + entry.size_bytes() / 2));
  stream.put('\x5a');
}

std::string error_of_pass(StreamedStore& store, const ViTConfig& config) {
  return error_of<CheckpointError>([&] {
    for (const Unit& unit : model_units(config)) store.acquire(unit, Pass::kForward);
  });
}

TEST(StreamedStore, NamesTheFileAndTheTensorThatWasDamagedOrChangedOrCut) {
  const TempFolder folder;
  const ViTConfig config = wide_config();
  const std::string tensor = "blocks.3.in_proj.weight";
  const auto fresh = [&](const std::string& name) {
    write_checkpoint(folder / name, config, randomised());
    return (folder / name / "model.safetensors").string();
  };

  std::string file = fresh("before");
  damage(file, tensor);
  auto store = streamed(folder / "before", config);
  EXPECT_EQ(error_of_pass(*store, config),
            file + ": tensor '" + tensor +
                "' is damaged: its hash differs from manifest.json; use an older checkpoint");

  file = fresh("while");
  store = streamed(folder / "while", config);
  EXPECT_EQ(error_of_pass(*store, config), "(nothing thrown)");
  damage(file, tensor);
  EXPECT_NE(error_of_pass(*store, config).find(file + ": tensor '"), std::string::npos);

  file = fresh("cut");
  store = streamed(folder / "cut", config);
  fs::resize_file(file, fs::file_size(file) / 2);
  const std::string error = error_of_pass(*store, config);
  EXPECT_NE(error.find(file + ": tensor 'blocks."), std::string::npos) << error;
}

TEST(StreamedStore, AFolderWithoutManifestIsWatchedToo) {
  const TempFolder folder;
  const ViTConfig config = wide_config();
  write_checkpoint(folder / "m", config, randomised());
  fs::remove(folder / "m/manifest.json");
  const auto store = streamed(folder / "m", config);
  EXPECT_EQ(error_of_pass(*store, config), "(nothing thrown)");
  damage(folder / "m/model.safetensors", "blocks.3.in_proj.weight");
  EXPECT_NE(error_of_pass(*store, config).find("was read while the file changed"),
            std::string::npos);
}

}  // namespace
}  // namespace vit22b
