#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/bench.h"
#include "core/alternation.h"
#include "core/error.h"
#include "eval/feature_source.h"
#include "kernels/norm.h"
#include "train/batch_trainer.h"

namespace vit22b {
namespace {

struct LitBenchFlags {
  BenchFlags bench;
  int64_t vocabulary = 32'000, words = 16, image_width = 768;
};

/// A text tower's step with a gradient that costs nothing: what the contrastive loss adds to.
class FixedGradient : public Task {
 public:
  TaskLoss loss(const TowerOutputs& outputs, const Batch&, const Mesh&) const override {
    return {at::zeros({}), {.logits_BC = at::ones_like(outputs.main.logits_BC)}};
  }
  std::vector<Metric> metrics() const override { return {}; }
  std::map<std::string, double> validate(const TowerPredictors&, const DataSource&,
                                         const Transforms&, const Validation&) const override {
    return {};
  }
};

/// Random words with random image embeddings.
Batch random_pairs(const LitBenchFlags& flags) {
  const int64_t pairs = flags.bench.batch;
  return {.labels_B = at::zeros({pairs}, at::kLong),
          .fields = {{"text", at::randint(flags.vocabulary, {pairs, flags.words}, at::kLong)},
                     {kImageEmbedding, unit_length(at::randn({pairs, flags.image_width}))}}};
}

/// The chunked loss of a step against all pairs at once.
double check_answer(BatchTrainer& trainer, const Task& lit, const Batch& batch) {
  const double got = trainer.rehearse(lit, batch, 0).loss;
  const at::Tensor texts = trainer.forward(batch.fields.at("text")).logits_BC.to(at::kFloat);
  const at::Tensor z =
      at::addmm(texts.select(1, -1), batch.fields.at(kImageEmbedding), texts.slice(1, 0, -1).t());
  const at::Tensor y = 2 * at::eye(z.size(0)) - 1;
  const double want = (at::softplus(-z * y).sum() / static_cast<double>(z.size(0))).item<double>();
  return std::abs(got - want) / std::abs(want);
}

TrainConfig text_config(const LitBenchFlags& flags) {
  TrainConfig config;
  config.model = preset_config(flags.bench.name, flags.bench.overrides);
  config.model.text.vocab_size = flags.vocabulary;
  config.model.text.context_length = flags.words;
  config.model.text.joint_dim = flags.image_width;
  config.model.num_classes = 0;
  config.model.validate();
  config.precision = flags.bench.common.precision;
  config.engine = flags.bench.common.engine;
  return config;
}

void run_bench_lit(const LitBenchFlags& flags) {
  const Device device = begin_command(flags.bench.common);
  const at::NoGradGuard no_grad;
  BatchTrainer trainer(text_config(flags));
  const Batch batch = random_pairs(flags);
  TrainConfig task;  // sigmoid loss, embeddings from the batch
  task.task = "lit";
  const auto lit = make_task(task, device);
  const double error = check_answer(trainer, *lit, batch);
  constexpr double kTolerance = 1e-4;  // float32 sums over all pairs
  if (!(error <= kTolerance)) throw NumbersError("bench: the chunked loss differs by ", error);
  const FixedGradient fixed;
  const auto times = alternate({{"text tower", [&] { trainer.rehearse(fixed, batch, 0); }},
                                {"lit", [&] { trainer.rehearse(*lit, batch, 0); }}},
                               flags.bench.repeats);
  const double ratio = times[1].median / times[0].median;
  const nlohmann::ordered_json json = {{"lit_seconds_median", times[1].median},
                                       {"text_tower_seconds_median", times[0].median},
                                       {"ratio", ratio},
                                       {"error", error}};
  char text[256];
  std::snprintf(text, sizeof text,
                "a step of LiT %.4f s (%.4f to %.4f), of its text tower alone %.4f s (%.4f to "
                "%.4f): %.3f; error %.1e\n",
                times[1].median, times[1].fastest, times[1].slowest, times[0].median,
                times[0].fastest, times[0].slowest, ratio, error);
  print_out(flags.bench.common.is_json ? json.dump(1) + "\n" : text);
}

}  // namespace

void add_bench_lit(CLI::App& group) {
  auto flags = std::make_shared<LitBenchFlags>();
  CLI::App* command = group.add_subcommand(
      "lit", "a LiT step on cached image features beside the text tower alone");
  flags->bench.add_to(*command, kPrecision | kJson);
  command->add_option("--vocabulary", flags->vocabulary, "pieces")
      ->capture_default_str()
      ->check(CLI::Range(2, 1'000'000));
  command->add_option("--words", flags->words, "of a text")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
  command->add_option("--image-width", flags->image_width, "of the image embeddings")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  command->callback([flags] { run_bench_lit(*flags); });
}

}  // namespace vit22b
