#include "store/update_now.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "dist/threads.h"
#include "store/accumulate.h"
#include "store/host_memory.h"
#include "store/sharded.h"
#include "support/files.h"
#include "support/tensors.h"
#include "support/tiny_model.h"

namespace vit22b {
namespace {

using test::TempFolder;
using test::tiny_config;

/// A model in training with one kind of sink, memory and stored dtype.
struct Training {
  struct Choice {
    bool is_now = false;
    at::ScalarType stored = at::kFloat;
    std::string engine = "fused";
    ActivationPolicy policy = ActivationPolicy::kKeep;
  };

  Training(const OptimConfig& optim, const Choice& choice, std::unique_ptr<StateMemory> in)
      : memory(std::move(in)),
        engine(make_engine(choice.engine)),
        optimizer(make_optimizer(optim)),
        store(table, source, choice.stored, *memory, single_process()),
        policy(choice.policy) {
    const std::vector<ParameterRule> rules = make_rules(table, optim, {});
    const UpdatingSink::Parts parts{*optimizer, store, single_process(), *memory};
    if (choice.is_now)
      sink = std::make_unique<UpdateNow>(table, rules, optim, parts);
    else
      sink = std::make_unique<Accumulate>(table, rules, optim, parts);
  }

  /// One step towards logits of one sign; `scale` multiplies the gradient.
  StepReport step(int64_t number, double scale = 1) {
    return step(number, [scale](const VitOutputs& out) {
      return VitOutputGrads{.logits_BC = (out.logits_BC + 0.5) * scale};
    });
  }
  /// One step that ends with the first block's outputs.
  StepReport step_below(int64_t number) {
    return step(number, [](const VitOutputs& out) {
      return VitOutputGrads{.blocks = {{0, out.blocks.at(0) * 1e-3}}};
    });
  }
  StepReport step(int64_t number,
                  const std::function<VitOutputGrads(const VitOutputs&)>& gradients) {
    const at::NoGradGuard no_grad;
    at::manual_seed(number);
    const at::Tensor images =
        at::randn({4, config.in_chans, config.img_size.height, config.img_size.width});
    const StepContext context{.step = number, .loss = at::ones({1}, at::kDouble), .seed = 3};
    for (const StepPhase phase : sink->phases()) {
      const ModelContext model{config, *engine, single_process(), at::kFloat, policy};
      VitTape tape;
      const VitOutputs out =
          vit_forward(model, store, images, {.taps = {0}, .tape = &tape, .sink = sink.get()});
      sink->begin_phase(phase, context);
      vit_backward(model, store, tape, gradients(out), sink.get());
    }
    return sink->finish(context);
  }

  void expect_same_as(const Training& other) const {
    auto &a = const_cast<Training&>(*this), &b = const_cast<Training&>(other);
    for (const ParameterRow& row : table)
      EXPECT_TRUE(test::is_same(a.store.weight(row), b.store.weight(row))) << row.name;
    const NamedParts state = other.sink->state();
    for (const auto& [name, part] : sink->state())
      EXPECT_TRUE(test::is_same(part.part, state.at(name).part)) << name;
  }

  ViTConfig config = [] {
    ViTConfig wide = tiny_config();
    wide.embed_dim = 36;  // wide enough for factored moments
    return wide;
  }();
  std::vector<ParameterRow> table = parameter_table(config);
  FunctionSource source{[](const ParameterRow& row) { return randomised_tensor(row, 1); }};
  std::unique_ptr<StateMemory> memory;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<Optimizer> optimizer;
  ResidentStore store;
  ActivationPolicy policy;
  std::unique_ptr<UpdatingSink> sink;
};

OptimConfig optim_of(const std::string& name, double clip_norm = 0) {
  OptimConfig optim;
  optim.name = name;
  optim.lr = 0.01;
  optim.clip_norm = clip_norm;
  return optim;
}

std::unique_ptr<StateMemory> heap() {
  return std::make_unique<DeviceMemory>(c10::kCPU);
}

TEST(UpdateNow, EqualsTheDeferredUpdateBitForBit) {
  for (const std::string name : {"adafactor", "adamw", "sgd"})
    for (const std::string engine : {"fused", "reference"})
      for (const auto policy : {ActivationPolicy::kKeep, ActivationPolicy::kRecompute})
        for (const at::ScalarType stored : {at::kFloat, at::kBFloat16}) {
          Training deferred(optim_of(name), {false, stored, engine, policy}, heap());
          Training now(optim_of(name), {true, stored, engine, policy}, heap());
          for (int64_t i = 0; i < 3; ++i) {
            const double want = deferred.step(i).gradient_norm;
            // The squares are added in another order.
            EXPECT_NEAR(now.step(i).gradient_norm, want, 1e-12 * want);
          }
          now.expect_same_as(deferred);
        }
}

// The head goes on by its momentum and shrinks by its decay in both.
TEST(UpdateNow, AUnitThatNoLossHasReachedHasAGradientOfZero) {
  for (const std::string name : {"adafactor", "adamw", "sgd"}) {
    Training deferred(optim_of(name), {false}, heap()), now(optim_of(name), {true}, heap());
    for (Training* training : {&deferred, &now}) {
      training->step(0);
      training->step_below(1);
      training->step(2);
    }
    now.expect_same_as(deferred);
  }
}

TEST(UpdateNow, InAStateFileEqualsMemoryBitForBit) {
  const TempFolder folder;
  for (const bool is_now : {false, true}) {
    Training memory(optim_of("adafactor"), {is_now, at::kBFloat16}, heap());
    Training file(optim_of("adafactor"), {is_now, at::kBFloat16},
                  std::make_unique<StateFile>(folder / "state", "a test"));
    for (int64_t i = 0; i < 3; ++i) {
      memory.step(i);
      file.step(i);
    }
    file.expect_same_as(memory);
  }
}

// On the CPU a copy is a plain one: what is computed with copies and put back is what counts.
TEST(UpdateNow, InTheHostsMemoryEqualsTheDevicesBitForBit) {
  for (const char* name : {"adafactor", "adamw"})
    for (const std::string engine : {"fused", "reference"})
      for (const auto policy : {ActivationPolicy::kKeep, ActivationPolicy::kRecompute})
        for (const bool is_now : {false, true}) {
          OptimConfig optim = optim_of(name, 0.1);
          optim.polyak = 0.9;
          // What does not keep its weights records a unit when the gradient comes back, and
          // libtorch's matmul sums in another order where a gradient is recorded: another rounding
          // here and there, which makes other bf16 weights of the steps that follow.
          const bool is_exact = engine == "fused";
          const Training::Choice choice{is_now, at::kBFloat16, engine, policy};
          Training device(optim, choice, heap());
          Training host(optim, choice, std::make_unique<HostMemory>(c10::kCPU));
          for (int64_t i = 0; i < 3; ++i) {
            const double want = device.step(i).gradient_norm;
            EXPECT_NEAR(host.step(i).gradient_norm, want,
                        is_exact ? 0 : (i == 0 ? 1e-6 : 1e-3) * want);
          }
          if (is_exact) host.expect_same_as(device);
        }
}

TEST(UpdateNow, ClippingByTheExactNormEqualsTheDeferredOne) {
  const OptimConfig optim = optim_of("adamw", 0.1);
  Training deferred(optim, {false}, heap()), now(optim, {true}, heap());
  for (int64_t i = 0; i < 3; ++i) {
    const StepReport a = deferred.step(i), b = now.step(i);
    EXPECT_LT(b.clip_scale, 1);
    EXPECT_NEAR(a.clip_scale, b.clip_scale, 1e-12 * a.clip_scale);  // sums in another order
    EXPECT_NEAR(a.gradient_norm, b.gradient_norm, 1e-12 * a.gradient_norm);
  }
  now.expect_same_as(deferred);
}

TEST(UpdateNow, ClipsByThePreviousNormWhichItsStateCarries) {
  OptimConfig optim = optim_of("sgd", 0.1);
  optim.clip = "previous";
  Training now(optim, {true}, heap());
  const StepReport first = now.step(0), second = now.step(1);
  EXPECT_EQ(first.clip_scale, 1);
  EXPECT_DOUBLE_EQ(second.clip_scale, 0.1 / first.gradient_norm);
  const NamedParts state = now.sink->state();
  Training resumed(optim, {true}, heap());
  resumed.sink->load_state([&](const std::string& name) { return state.at(name).part; });
  EXPECT_DOUBLE_EQ(resumed.step(2).clip_scale, 0.1 / second.gradient_norm);
}

TEST(UpdateNow, LeavesAUnitWithoutFiniteGradientsAsItIs) {
  Training now(optim_of("adamw"), {true}, heap());
  const at::Tensor before = now.store.weight(now.table.front()).clone();
  const StepReport report = now.step(0, std::numeric_limits<double>::infinity());
  EXPECT_FALSE(std::isfinite(report.gradient_norm));
  EXPECT_EQ(report.bad_tensor.substr(0, 5), "head.");  // the first unit of the backward pass
  EXPECT_TRUE(test::is_same(now.store.weight(now.table.front()), before));
}

// Each rank has its part of every gradient: one that is not finite there decides for all.
TEST(UpdateNow, AGradientThatIsNotFiniteOnOneRankLeavesTheUnitAsItIsOnAll) {
  ViTConfig config = tiny_config();
  config.embed_dim = 48;  // factored moments, whose means are collectives
  config.num_heads = 4;
  const std::vector<ParameterRow> table = parameter_table(config);
  for (const MeshShape shape : {MeshShape{1, 2}, {2, 1}, {2, 2}})
    for (const std::string name : {"adafactor", "adamw", "sgd"})
      run_as_threads(shape.data * shape.model, [&](const std::shared_ptr<Transport>& transport) {
        const at::NoGradGuard no_grad;
        const Mesh mesh = make_mesh(transport, shape, /*deadline_s=*/5);
        const OptimConfig optim = optim_of(name);
        const auto optimizer = make_optimizer(optim);
        FunctionSource source([](const ParameterRow& row) { return randomised_tensor(row, 1); });
        ShardedStore store(table, source, c10::kCPU, mesh);
        DeviceMemory memory(c10::kCPU);
        UpdateNow sink(table, make_rules(table, optim, {}), optim,
                       {*optimizer, store, mesh, memory});
        sink.begin_phase(StepPhase::kUpdate, {});
        for (const Unit& unit : {block_unit(1), block_unit(0)}) {
          UnitGrads& grads = sink.begin(unit);
          for (auto& [local_name, gradient] : grads.tensors) gradient.fill_(0.5);
          const bool is_bad = unit == block_unit(1) && mesh.share(MeshAxis::kAll, 64).first == 0;
          if (is_bad) grads.tensors.at("in_proj.weight").view(-1)[3] = INFINITY;
          sink.commit(unit);
        }
        const StepReport report = sink.finish({});
        EXPECT_FALSE(std::isfinite(report.gradient_norm));
        EXPECT_EQ(report.bad_tensor, "blocks.1.in_proj.weight");
        for (const ParameterRow& row : table) {
          if (row.name != "blocks.1.mlp_out_proj.weight" &&
              row.name != "blocks.0.mlp_out_proj.weight")
            continue;
          const at::Tensor before =
              part_of(randomised_tensor(row, 1), store.cut(row), place_of(mesh));
          EXPECT_EQ(at::equal(store.weight(row), before), row.unit == block_unit(1)) << name;
        }
      });
}

TEST(HostMemory, GivesACopyThatAllShareUntilItIsReleased) {
  HostMemory memory(c10::kCPU);
  const at::Tensor x = memory.zeros({3, 5}, at::kFloat), y = memory.zeros({7}, at::kBFloat16);
  x.fill_(2);
  y.fill_(3);
  memory.will_need(x);
  const at::Tensor copy = memory.in_use(x);
  copy.add_(1);
  EXPECT_EQ(memory.in_use(x).sum().item<float>(), 45);
  EXPECT_EQ(x.sum().item<float>(), 30);
  memory.put_back(x);
  EXPECT_EQ(x.sum().item<float>(), 45);
  copy.zero_();
  memory.release(x);  // without having been put back
  EXPECT_EQ(memory.in_use(x).sum().item<float>(), 45);
  x.fill_(1);
  memory.settle();
  EXPECT_EQ(memory.in_use(x).sum().item<float>(), 15);
  EXPECT_EQ(y.sum().item<float>(), 21);
  const at::Tensor elsewhere = at::ones({4});
  EXPECT_TRUE(memory.in_use(elsewhere).is_same(elsewhere));
  memory.put_back(elsewhere);
  EXPECT_EQ(memory.in_use(memory.zeros({0, 4}, at::kFloat)).numel(), 0);
}

TEST(HostMemory, CutsTensorsOfPiecesThatGrowAndWastesLittle) {
  HostMemory memory(c10::kCPU);
  std::vector<at::Tensor> all;
  int64_t bytes = 0;
  for (int64_t i = 0; i < 40; ++i) {
    all.push_back(memory.zeros({300 + i, 1001}, i % 2 == 0 ? at::kFloat : at::kBFloat16));
    all.back().fill_(i);
    bytes += static_cast<int64_t>(all.back().nbytes());
  }
  for (int64_t i = 0; i < 40; ++i)
    EXPECT_TRUE(all[static_cast<size_t>(i)].eq(i).all().item<bool>()) << i;
  EXPECT_LT(memory.taken_bytes(), 2.2 * static_cast<double>(bytes));
}

TEST(StateFile, KeepsValuesThatWereReleasedAndGoesWithItsOwner) {
  const TempFolder folder;
  {
    StateFile file(folder / "state", "run a");
    at::Tensor x = file.zeros({3, 1000}, at::kFloat), y = file.zeros({7}, at::kBFloat16);
    EXPECT_EQ(x.sum().item<float>(), 0);
    x.fill_(3);
    y.fill_(5);
    file.release(x);
    file.will_need(x);
    const at::Tensor elsewhere = at::ones({1 << 20});
    file.release(elsewhere);
    EXPECT_EQ(elsewhere.sum().item<float>(), 1 << 20);
    EXPECT_EQ(x.sum().item<float>(), 9000);
    EXPECT_EQ(y.sum().item<float>(), 35);
    EXPECT_NE(test::error_of<UsageError>([&] {
                StateFile(folder / "state", "run a");
              }).find("is in use by another process"),
              std::string::npos);
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "state"));
}

TEST(StateFile, LeavesOtherRunsAndOtherFilesAlone) {
  const TempFolder folder;
  test::write_file(folder / "state", "vit22b state of run a, model b16\n");
  EXPECT_EQ(test::error_of<UsageError>([&] { StateFile(folder / "state", "run b, model b16"); }),
            "state file " + (folder / "state").string() +
                " belongs to run a, model b16, not to run b, model b16; remove it, or choose "
                "another state_path");
  test::write_file(folder / "notes", "my notes");
  EXPECT_NE(test::error_of<UsageError>([&] {
              StateFile(folder / "notes", "run a");
            }).find("is no state file; it is left as it is"),
            std::string::npos);
  EXPECT_EQ(test::read_file(folder / "notes"), "my notes");
  // What a kill has left of the same run is made anew.
  StateFile again(folder / "state", "run a, model b16");
  EXPECT_EQ(again.zeros({5}, at::kFloat).abs().max().item<float>(), 0);
}

}  // namespace
}  // namespace vit22b
