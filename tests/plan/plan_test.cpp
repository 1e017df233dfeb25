#include "plan/plan.h"

#include <gtest/gtest.h>

#include "checkpoint/model_info.h"
#include "checkpoint/weights.h"
#include "core/error.h"
#include "core/text.h"
#include "model/flops.h"
#include "model/vit.h"
#include "plan/step_time.h"
#include "support/files.h"
#include "support/tiny_model.h"

namespace vit22b {
namespace {

int64_t bytes_of(const Plan& plan, const std::string& what) {
  for (const MemoryItem& item : plan.items)
    if (item.what == what) return item.bytes;
  return 0;
}

std::string refusal(const std::string& name, const std::vector<std::string>& words) {
  try {
    Planner(name, words).plan(false);
  } catch (const UsageError& e) {
    return e.what();
  }
  return "";
}

TEST(Plan, ThePapersShareOfThePeakIsItsTokensASecondAndChip) {
  const Plan plan = Planner("22b14", {"mode=train", "device=tpuv4", "precision=bf16", "batch=1024",
                                      "mesh.data=64", "mesh.model=16", "mfu=0.549"})
                        .plan(false);
  // 1.15k tokens a second, to the digits that are given.
  EXPECT_NEAR(plan.tokens_per_second() / 1024, 1150, 5);
  EXPECT_NEAR(plan.mfu, 0.549, 1e-9);
}

TEST(Plan, WeightsAndStateOf22BOnOneDeviceAreFourBytesAParameter) {
  const std::vector<std::string> words = {"mode=train",         "device=h200", "precision=bf16",
                                          "batch=32",           "update=now",  "weights=bf16",
                                          "optim.clip=previous"};
  const Plan plan = Planner("22b14", words).plan(false);
  const double parameters = 22.21e9;  // performance.md: all parameters
  EXPECT_NEAR(static_cast<double>(bytes_of(plan, "weights")), 2 * parameters, 0.01 * parameters);
  EXPECT_NEAR(static_cast<double>(bytes_of(plan, "optimizer state")), 2 * parameters,
              0.01 * parameters);
  // No more than the largest unit's gradients exist.
  EXPECT_LT(bytes_of(plan, "gradients"), 4 * 460'000'000LL);
  EXPECT_TRUE(plan.fits);
  EXPECT_EQ(plan.advice, "");
}

TEST(Plan, BytesAreThoseOfTheRealStoreAndSinks) {
  for (const std::vector<std::string>& choice :
       {std::vector<std::string>{"optim.name=adamw"},
        {"optim.name=adafactor", "update=now", "optim.clip=previous", "weights=bf16"},
        {"optim.name=sgd", "precision=bf16"}}) {
    std::vector<std::string> words = {"mode=train", "device=h100", "batch=2"};
    words.insert(words.end(), choice.begin(), choice.end());
    const PlanRequest request = read_plan_request("s16", words);
    const TrainOutline outline(request);
    const std::vector<ParameterRow> table = parameter_table(request.config.model);
    DeviceMemory memory(c10::kCPU);
    const auto store = make_store(request.config, table, {}, std::make_unique<NoSource>(),
                                  {memory, c10::kCPU, single_process()});
    const auto optimizer = make_optimizer(request.config.optim);
    const Sinks sinks =
        make_sinks(request.config, table, {*optimizer, *store, single_process(), memory});
    int64_t weights = 0, state = 0;
    for (const auto& [name, part] : owned_parts(*store, table))
      weights += static_cast<int64_t>(part.part.nbytes());
    for (const auto& [name, slot] : sinks.updating->state())
      state += static_cast<int64_t>(slot.part.nbytes());
    EXPECT_EQ(outline.weight_bytes(), weights);
    EXPECT_EQ(outline.state_bytes(), state);
    for (const Unit& unit : model_units(request.config.model)) {
      int64_t gradients = 0;
      for (const auto& [name, tensor] : sinks.updating->begin(unit).tensors)
        gradients += static_cast<int64_t>(tensor.nbytes());
      if (request.config.update == "now")
        EXPECT_EQ(outline.gradient_bytes(unit), gradients) << unit.name();
      else
        EXPECT_GE(outline.gradient_bytes(unit), gradients) << unit.name();
    }
  }
}

TEST(Plan, ShardingCutsWeightsAndStateByTheDataAxis) {
  const auto held = [](const std::vector<std::string>& more) {
    std::vector<std::string> words = {"mode=train", "device=h100", "batch=8", "optim.name=adamw"};
    words.insert(words.end(), more.begin(), more.end());
    const Plan plan = Planner("b16", words).plan(false);
    return static_cast<double>(bytes_of(plan, "weights") + bytes_of(plan, "optimizer state"));
  };
  EXPECT_NEAR(held({"mesh.data=4", "store=sharded"}) / held({}), 0.25, 0.01);
  EXPECT_NEAR(held({"mesh.model=4"}) / held({}), 0.25, 0.01);
}

TEST(Plan, AdvisesTheFastestChangeThatFits) {
  const Plan plan =
      Planner("22b14", {"mode=train", "device=h200", "precision=bf16", "batch=16"}).plan(false);
  EXPECT_FALSE(plan.fits);
  std::vector<std::string> words = {"mode=train", "device=h200", "precision=bf16", "batch=16"};
  for (const std::string& word : split(plan.advice, ' ')) words.push_back(word);
  EXPECT_TRUE(Planner("22b14", words).plan(false).fits) << plan.advice;
  EXPECT_NE(plan.advice.find("weights=bf16"), std::string::npos) << plan.advice;
}

TEST(Plan, SearchGivesPlansThatFitTheFastestFirst) {
  const std::vector<Plan> plans =
      Planner("22b14", {"mode=train", "device=h100", "precision=bf16", "batch=256"}).search(8, 5);
  ASSERT_FALSE(plans.empty());
  double last = 0;
  for (const Plan& plan : plans) {
    EXPECT_TRUE(plan.fits);
    EXPECT_EQ(plan.request.num_ranks(), 8);
    EXPECT_GE(plan.time.seconds, last);
    last = plan.time.seconds;
  }
}

TEST(Plan, RefusesByName) {
  EXPECT_NE(refusal("b16", {"device=h1000"}).find("did you mean 'h100'?"), std::string::npos);
  EXPECT_NE(refusal("b16", {"mode=tain"}).find("mode=tain: want train or infer"),
            std::string::npos);
  EXPECT_NE(refusal("b16", {"mfu=2"}).find("mfu=2: want a share"), std::string::npos);
  EXPECT_NE(refusal("b16", {"batch"}).find("'batch' is not an override"), std::string::npos);
  EXPECT_NE(refusal("b16", {"store=sharded"}).find("resident, streamed or generated"),
            std::string::npos);
  EXPECT_NE(refusal("b16", {"mode=train", "state=file", "device=h100"}).find("device=this"),
            std::string::npos);
  EXPECT_NE(refusal("b16", {"mode=train", "engine=reference"}).find("engine=fused"),
            std::string::npos);
}

TEST(Plan, ReadsADeviceFromAFileAndChecksIt) {
  const test::TempFolder folder;
  const std::string path = (folder / "d.toml").string();
  test::write_file(path, "memory_bytes = 1e9\nhost_memory_bytes = 1e9\nbf16_flops = 1e12\n");
  EXPECT_NE(refusal("b16", {"device=" + path}).find("every size, rate and share"),
            std::string::npos);
  test::write_file(path, "memory_byte = 1e9\n");
  EXPECT_NE(refusal("b16", {"device=" + path}).find("memory_bytes"), std::string::npos);
}

// What is in use of a state file is one unit's weights, and one tensor's state while it is updated.
TEST(Plan, OfACheckpointIsOfItsModelAndTheBytesOfItsTensors) {
  const auto folder = test::source_path("tests/oracle/timm_serial");
  const CheckpointPath checkpoint = resolve_checkpoint(folder);
  const TensorContainer weights = open_weights(checkpoint);
  int64_t bytes = 0;
  for (const auto& [name, tensor] : weights.tensors())
    bytes += static_cast<int64_t>(tensor.size_bytes());
  const Plan plan = Planner(folder.string(), {"store=streamed", "device=h100"}).plan(false);
  EXPECT_EQ(plan.request.config.model.embed_dim, read_model_info(checkpoint).config.embed_dim);
  EXPECT_EQ(bytes_of(plan, "checkpoint"), bytes);
}

TEST(Plan, OfStreamedTrainingWhatTrainsIsHeldAndTheRestIsReadTwiceAStep) {
  const auto folder = test::source_path("tests/oracle/timm_serial");
  const auto plan = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words = {"mode=train", "device=h100", "lora.rank=2",
                                      "optim.name=adamw"};
    words.insert(words.end(), more.begin(), more.end());
    return Planner(folder.string(), words).plan(false);
  };
  const Plan streamed = plan({"store=streamed", "activation=recompute"}),
             resident = plan({"activation=recompute"});
  ViTConfig config = streamed.request.config.model;
  ASSERT_TRUE(config.adapters.exist());
  int64_t trained = 0, all = 0;
  for (const ParameterRow& row : parameter_table(config)) {
    all += row.count() * 4;
    if (row.group == ParameterGroup::kAdapter || row.unit.kind == UnitKind::kHead)
      trained += row.count() * 4;
  }
  EXPECT_EQ(bytes_of(streamed, "weights"), trained);
  EXPECT_EQ(bytes_of(resident, "weights"), all);
  EXPECT_EQ(bytes_of(streamed, "optimizer state"), 2 * trained);
  EXPECT_GT(bytes_of(streamed, "weights read in every pass"), 0);
  EXPECT_EQ(bytes_of(resident, "weights read in every pass"), 0);
  // A card without memory for caches: a forward and a backward pass read the whole checkpoint.
  const TrainOutline outline(streamed.request);
  EXPECT_EQ(training_work(streamed.request, outline, streamed.device, 0).from_disk_bytes,
            2.0 * static_cast<double>(streamed.request.checkpoint_bytes));
  // No weight's gradient but those of adapters, which do not count: two thirds of a whole step.
  EXPECT_NEAR(streamed.flops, train_flops(config) * 2 / 3, 1e-6 * streamed.flops);
  EXPECT_NE(refusal("b16", {"mode=train", "store=streamed", "lora.rank=2"}).find("init_from=CKPT"),
            std::string::npos);
}

TEST(Plan, OfAStateFileOneUnitIsInMemory) {
  const Plan plan = Planner("b16", {"mode=train", "batch=2", "state=file", "update=now",
                                    "optim.clip=previous", "optim.name=sgd"})
                        .plan(false);
  const ViTConfig config = preset("b16", "parallel");
  int64_t all = 0, largest = 0;
  for (const ParameterRow& row : parameter_table(config)) {
    if (row.unit != block_unit(11)) continue;
    all += row.count();
    largest = std::max(largest, row.count());
  }
  EXPECT_EQ(bytes_of(plan, "weights and optimizer state in use"), 4 * (all + largest));
}

TEST(Plan, BlockInputsElsewhereAreCountedThere) {
  const auto plan = [](const std::string& device, const std::string& place) {
    return Planner("b16", {"mode=train", "batch=8", "device=" + device, "activation=recompute",
                           "block_inputs=" + place})
        .plan(false);
  };
  const int64_t inputs = 12 * 8 * 196 * 768 * 4;
  EXPECT_EQ(bytes_of(plan("h100", "device"), "block inputs"), 0);
  EXPECT_EQ(bytes_of(plan("h100", "host"), "block inputs"), inputs);
  EXPECT_LT(plan("h100", "host").bytes(Place::kDevice),
            plan("h100", "device").bytes(Place::kDevice));
  EXPECT_EQ(bytes_of(plan("this", "host"), "block inputs"), 0);  // it is the device
  // All but the embedding's, the present block's and a gradient of their size; each plan measures
  // the program anew, some MiB apart.
  const Plan file = plan("this", "file");
  EXPECT_EQ(bytes_of(file, "block inputs"), inputs);
  EXPECT_LT(file.bytes(Place::kHost), plan("this", "device").bytes(Place::kHost) - inputs * 8 / 12);
}

TEST(Plan, StateOnTheHostIsSentToACardThatItDoesNotFitInto) {
  const auto plan = [](const std::vector<std::string>& more) {
    std::vector<std::string> words = {"mode=train",         "device=h100",  "precision=bf16",
                                      "batch=40",           "weights=bf16", "update=now",
                                      "optim.clip=previous"};
    words.insert(words.end(), more.begin(), more.end());
    return Planner("22b14", words).plan(false);
  };
  EXPECT_FALSE(plan({}).fits);
  EXPECT_NE(plan({}).advice.find("state=host"), std::string::npos) << plan({}).advice;
  const Plan host = plan({"state=host"});
  EXPECT_TRUE(host.fits);
  const double parameters = 22.21e9;
  EXPECT_NEAR(static_cast<double>(bytes_of(host, "weights") + bytes_of(host, "optimizer state")),
              4 * parameters, 0.01 * 4 * parameters);
  EXPECT_GT(host.bytes(Place::kHost), 4 * parameters);
  // Three blocks' bf16 weights and two blocks' momentum.
  EXPECT_NEAR(static_cast<double>(bytes_of(host, "weights and optimizer state in use")),
              5 * 2 * 453e6, 0.02 * 5 * 2 * 453e6);
  // Weights go to the device twice and momentum once, at 55 GB/s.
  const auto& parts = host.time.parts;
  const auto sent = std::find_if(parts.begin(), parts.end(), [](const TimePart& part) {
    return part.what == "transfers of the host's memory beyond the computing";
  });
  ASSERT_NE(sent, parts.end());
  double computing = 0;
  for (const TimePart& part : parts)
    if (part.what == "products" || part.what == "attention" ||
        part.what == "memory traffic of activations")
      computing += part.seconds;
  EXPECT_NEAR(sent->seconds + computing, 3 * 2 * parameters / 55e9, 0.03);
  // With more images a step there is more to hide them behind.
  EXPECT_GT(plan({"state=host", "batch=48"}).mfu, host.mfu);
  // On the CPU there is one memory.
  const Plan here = Planner("b16", {"mode=train", "batch=2", "state=host"}).plan(false);
  EXPECT_EQ(bytes_of(here, "weights and optimizer state in use"), 0);
}

const std::string kSerial = test::source_path("tests/oracle/timm_serial").string();

int64_t parameters_of(const ViTConfig& config) {
  return count_parameters(parameter_table(config)).total;
}

Plan plan_of(std::vector<std::string> words) {
  words.insert(words.end(), {"mode=train", "device=h100", "batch=8"});
  return Planner("ti16", words).plan(false);
}

// A live teacher's weights and what it holds of a batch are the run's; a cached one's are not.
TEST(Plan, OfDistillationCountsTheTeacher) {
  const ViTConfig teacher = read_model_info(resolve_checkpoint(kSerial)).config;
  const std::vector<std::string> words = {"task=distill", "distill.teachers=[\"" + kSerial + "\"]"};
  std::vector<std::string> cached = words;
  cached.emplace_back("distill.logits=cached");
  const Plan plain = plan_of({}), live = plan_of(words);
  EXPECT_EQ(bytes_of(plan_of(cached), "weights of models that look on"), 0);
  EXPECT_EQ(bytes_of(live, "weights of models that look on"), 4 * parameters_of(teacher));
  EXPECT_EQ(bytes_of(live, "weights"), bytes_of(plain, "weights"));
  EXPECT_GE(bytes_of(live, "activations"), bytes_of(plain, "activations"));
  EXPECT_DOUBLE_EQ(live.flops - plain.flops, 8 * forward_flops(teacher));
}

TEST(Plan, OfLitCountsBothTowers) {
  ViTConfig image = read_model_info(resolve_checkpoint(kSerial)).config;
  const auto plan = [](const std::vector<std::string>& more) {
    std::vector<std::string> words = {"task=lit", "lit.image_tower=" + kSerial,
                                      "lit.tokenizer=train:500", "model.context_length=16",
                                      "optim.name=sgd"};
    words.insert(words.end(), more.begin(), more.end());
    return plan_of(words);
  };
  const Plan cached = plan({}), live = plan({"lit.images=live"}), both = plan({"lit.unlock=all"});
  EXPECT_EQ(cached.request.config.model.text.vocab_size, 500);
  EXPECT_EQ(cached.request.config.model.text.joint_dim, image.embed_dim);
  // A batch is of texts and of what their images were embedded to, or of the images.
  EXPECT_EQ(bytes_of(cached, "batches"), 3 * 8 * (16 * 8 + image.embed_dim * 4));
  EXPECT_EQ(bytes_of(live, "batches"),
            3 * 8 * (16 * 8 + image.in_chans * image.img_size.height * image.img_size.width * 4));
  EXPECT_EQ(bytes_of(cached, "weights of models that look on"), 0);
  EXPECT_EQ(bytes_of(live, "weights of models that look on"), 4 * parameters_of(image));
  image.num_classes = 0;  // its classifier stays behind
  EXPECT_EQ(bytes_of(both, "weights") - bytes_of(cached, "weights"), 4 * parameters_of(image));
  EXPECT_EQ(bytes_of(both, "optimizer state") - bytes_of(cached, "optimizer state"),
            4 * parameters_of(image));
  EXPECT_GT(bytes_of(both, "activations"), bytes_of(cached, "activations"));
  EXPECT_DOUBLE_EQ(both.flops - cached.flops, 8 * train_flops(image));
}

// At a validation the weights lie beside their averages, and nothing of a step does.
TEST(Plan, OfAveragesCountsTheWeightsBesideThem) {
  const auto plan = [](const std::string& polyak) {
    return Planner("b16", {"mode=train", "device=h100", "batch=1", "activation=recompute",
                           "optim.polyak=" + polyak})
        .plan(false);
  };
  const Plan plain = plan("0"), averaged = plan("0.99");
  EXPECT_EQ(bytes_of(plain, "weights beside their averages"), 0);
  const int64_t beside = bytes_of(averaged, "weights") - bytes_of(averaged, "activations") -
                         bytes_of(averaged, "gathered weights") -
                         bytes_of(averaged, "float32 copies of weights");
  EXPECT_GT(beside, 0);
  EXPECT_EQ(bytes_of(averaged, "weights beside their averages"), beside);
}

// ViT-22B's checkpoints with optimizer state take more than any machine of these tests has free.
// 89 GB of float32: they stay in the host's memory where that is larger, else each pass reads them.
TEST(Plan, StreamedWeightsComeFromTheDiskWhereMemoryDoesNotKeepThem) {
  const test::TempFolder folder;
  const auto plan = [&](const std::string& host_memory, const std::string& disk) {
    const std::string path = (folder / "d.toml").string();
    test::write_file(path, concat("memory_bytes = 80e9\nhost_memory_bytes = ", host_memory,
                                  "\nbf16_flops = 1e15\nfp32_flops = 5e13\n"
                                  "memory_bytes_per_second = 3e12\nhost_bytes_per_second = 50e9\n"
                                  "link_bytes_per_second = 1e11\nnetwork_bytes_per_second = 1e11\n"
                                  "disk_bytes_per_second = ",
                                  disk, "\n"));
    return Planner("22b14", {"batch=8", "precision=bf16", "store=streamed", "device=" + path})
        .plan(false);
  };
  const double bytes = 4 * 22.25e9;
  const Plan read = plan("64e9", "5e9");
  EXPECT_EQ(read.time.limit, "reading the disk beyond all that");
  EXPECT_NEAR(read.time.seconds, bytes / 5e9, 0.02 * bytes / 5e9);
  const Plan kept = plan("200e9", "5e9");
  EXPECT_NEAR(kept.time.seconds, bytes / 2 / 50e9, 0.02 * bytes / 2 / 50e9);
  EXPECT_EQ(plan("64e9", "0").time.seconds, kept.time.seconds) << "not known, not counted";
}

TEST(Plan, ADiskThatIsTooSmallDoesNotFit) {
  const Plan plan = Planner("22b14", {"mode=train", "batch=1", "model.depth=2", "model.img_size=56",
                                      "precision=bf16", "weights=bf16", "update=now",
                                      "optim.clip=previous", "keep_last=100000"})
                        .plan(false);
  EXPECT_FALSE(plan.fits);
  EXPECT_TRUE(plan.advice.starts_with("more disk than the ")) << plan.advice;
}

/// Heads over patches: what they take is measured on few pictures.
Plan dense_plan(std::vector<std::string> words) {
  words.insert(words.end(), {"mode=train", "device=h100", "task=segment", "segment.num_classes=5"});
  return Planner("ti16", words).plan(false);
}

TEST(Plan, OfSegmentationAFrozenModelKeepsNothingButWhatTheHeadSees) {
  const Plan frozen = dense_plan({"batch=8"}),
             tuned = dense_plan({"batch=8", "segment.unlock=all"}),
             last = dense_plan({"batch=8", "segment.unlock=2"}),
             taps = dense_plan({"batch=8", "segment.layers=2,5,8,11"});
  EXPECT_LT(bytes_of(frozen, "activations"), bytes_of(last, "activations"));
  EXPECT_LT(bytes_of(last, "activations"), bytes_of(tuned, "activations"));
  // Three blocks' outputs more, which nothing else keeps.
  const int64_t map = int64_t{8} * 196 * 192 * 4;
  EXPECT_GE(bytes_of(taps, "activations") - bytes_of(frozen, "activations"), 3 * map);
  EXPECT_EQ(bytes_of(frozen, "weights"), bytes_of(tuned, "weights"));
  // The head alone has gradients and momentum.
  EXPECT_LT(100 * bytes_of(frozen, "gradients"), bytes_of(tuned, "gradients"));
  // An image and its mask, as whole numbers.
  EXPECT_EQ(bytes_of(frozen, "batches"), 3 * 8 * (3 + 1) * 224 * 224 * 4);
}

TEST(Plan, OfSegmentationMemoryFollowsTheImages) {
  const auto activations = [](const std::string& batch) {
    return static_cast<double>(
        bytes_of(dense_plan({"batch=" + batch, "segment.head=bn_linear"}), "activations"));
  };
  EXPECT_NEAR(activations("32") / activations("8"), 4, 0.02);
}

TEST(Plan, OfCachedMapsTheModelRunsBeforeTheFirstStepAlone) {
  const auto folder = test::source_path("tests/oracle/timm_serial");
  const auto plan = [&](const std::string& features) {
    return Planner(folder.string(), {"mode=train", "device=h100", "task=segment", "batch=4",
                                     "segment.num_classes=5", "segment.features=" + features})
        .plan(false);
  };
  const Plan live = plan("live"), cached = plan("cached");
  EXPECT_EQ(cached.flops, 0);
  EXPECT_GT(live.flops, 0);
  const ViTConfig& model = cached.request.config.model;
  EXPECT_EQ(bytes_of(cached, "batches"), 3 * 4 *
                                             (model.num_patches() * model.embed_dim * 2 +
                                              model.img_size.height * model.img_size.width * 4));
}

TEST(Plan, OfSegmentationWithoutAnythingThatSaysItsClassesAsksForThem) {
  EXPECT_NE(refusal("ti16", {"mode=train", "task=segment"}).find("give segment.num_classes"),
            std::string::npos);
}

TEST(Plan, RehearsalOnThisMachineCountsAllBlocks) {
  const Plan plan = Planner("test8", {"mode=train", "batch=4"}).plan(true);
  EXPECT_TRUE(plan.is_rehearsed);
  EXPECT_GT(plan.time.seconds, 0);
  EXPECT_GT(plan.mfu, 0);
  EXPECT_TRUE(plan.fits);
}

}  // namespace
}  // namespace vit22b
