#include <numeric>

#include "core/error.h"
#include "core/range.h"
#include "data/splits.h"
#include "train/config.h"

namespace vit22b {
namespace {

void check_distill(const TrainConfig& c) {
  if (c.task != "distill") {
    if (!c.distill.teachers.empty())
      throw UsageError("distill.teachers is set, but task=", c.task, "; use task=distill");
    if (!c.distill.class_map.empty())
      throw UsageError("distill.class_map is set, but task=", c.task, "; use task=distill");
    return;
  }
  if (c.distill.teachers.empty())
    throw UsageError(
        "task=distill: name the checkpoints to learn from, distill.teachers=[\"RUN\"]");
  check_range("distill.temperature", c.distill.temperature, Range::positive());
  check_range("distill.feature_weight", c.distill.feature_weight, Range::from_zero());
  if (c.mesh.model > 1) throw UsageError("task=distill: use mesh.model=1");
  if (c.distill.logits == "cached" && (c.data.mixup > 0 || c.distill.feature_weight > 0))
    throw UsageError(
        "distill.logits=cached keeps what teachers say of plain images; use live with ",
        c.data.mixup > 0 ? "data.mixup" : "distill.feature_weight");
}

void check_lit(const TrainConfig& c) {
  if (c.task != "lit") {
    if (!c.lit.image_tower.empty())
      throw UsageError("lit.image_tower is set, but task=", c.task, "; use task=lit");
    return;
  }
  if (c.lit.image_tower.empty())
    throw UsageError("task=lit: name the image tower's checkpoint, lit.image_tower=RUN");
  if (!c.init_from.empty())
    throw UsageError("task=lit starts with a fresh text tower; no init_from");
  if (c.mesh.model > 1) throw UsageError("task=lit: use mesh.model=1");
  check_range("lit.image_lr", c.lit.image_lr, Range::positive());
  c.lit.first_trained_block(1);  // refuses another word
  if (c.lit.templates.empty()) throw UsageError("lit.templates is empty; want at least [\"{}\"]");
  for (const std::string& text : c.lit.templates)
    if (text.find("{}") == std::string::npos)
      throw UsageError("lit.templates: '", text, "' has no {} for the class's name");
  if (c.data.mixup > 0) throw UsageError("task=lit: mixed images have no caption; data.mixup=0");
}

}  // namespace

void check_choices(const TrainConfig& c) {
  if (!c.total.is_set())
    throw UsageError(
        "the length of training is not set; give total_steps, total_examples or total_epochs");
  if (c.data.root.empty())
    throw UsageError("data.root is not set; give the folder of the data, such as data.root=DIR");
  if (c.data.batch_size < 1 || c.data.batch_size > 1'000'000)
    throw UsageError("data.batch_size is ", c.data.batch_size, ", want 1 to 1,000,000");
  if (c.accumulate < 1 || c.data.batch_size % c.accumulate != 0)
    throw UsageError("accumulate is ", c.accumulate, ", want a divisor of data.batch_size ",
                     c.data.batch_size);
  if (!c.data.class_map.empty() && (c.task == "lit" || c.data.val.empty() || percent(c.data.val)))
    throw UsageError(
        "data.class_map names the classes of a split of its own; ",
        c.task == "lit" ? "task=lit has captions" : concat("data.val is '", c.data.val, "'"));
  if (c.mesh.data < 0 || c.mesh.model < 1)
    throw UsageError("mesh.data=", c.mesh.data, " mesh.model=", c.mesh.model,
                     ": want counts of ranks");
  check_range("mesh.deadline_s", c.mesh.deadline_s, Range::positive());
  if (c.mesh.prefetch < 0 || c.mesh.prefetch > 64)
    throw UsageError("mesh.prefetch is ", c.mesh.prefetch, ", want 0 to 64");
  if (c.data.workers < 0 || c.data.workers > 256)
    throw UsageError("data.workers is ", c.data.workers, ", want 0 to 256");
  if (c.keep_last < 1) throw UsageError("keep_last is ", c.keep_last, ", want at least 1");
  if (c.block_inputs != "device" && c.activation != "recompute")
    throw UsageError("block_inputs=", c.block_inputs,
                     " is of blocks that keep their inputs alone; use activation=recompute");
  if (c.update == "now" && c.accumulate > 1)
    throw UsageError(
        "update=now applies gradients as they are made and keeps none to add to; use "
        "accumulate=1, or update=deferred");
  if (c.update == "deferred" && c.optim.clip == "previous")
    throw UsageError(
        "update=deferred clips by the exact norm; use optim.clip=exact, or update=now");
  if (c.store == "sharded" && (c.state != "memory" || c.weights != "fp32"))
    throw UsageError("store=sharded keeps fp32 weights in memory; use store=resident with state=",
                     c.state, " weights=", c.weights);
  check_range("data.mixup", c.data.mixup, Range::share());
  check_range("data.max_bad_fraction", c.data.max_bad_fraction, Range::share());
  check_range("data.max_pixels", static_cast<double>(c.data.max_pixels), Range::positive());
  c.optim.check();
  c.schedule.check();
  check_distill(c);
  check_lit(c);
  if (c.seed < 0) throw UsageError("seed is ", c.seed, ", want 0 or more");
}

namespace {

std::string divisors(int64_t n, int64_t limit) {
  std::vector<std::string> all;
  for (int64_t i = 1; i <= std::min(n, limit); ++i)
    if (n % i == 0) all.push_back(std::to_string(i));
  return join(all, ", ");
}

}  // namespace

void check_mesh(const TrainConfig& c, const Mesh& mesh) {
  constexpr int64_t kMaxListed = 1024;
  const int64_t data = mesh.size(MeshAxis::kData), model = mesh.size(MeshAxis::kModel);
  if (c.model.num_heads % model != 0)
    throw UsageError("mesh.model=", model, " does not divide the model's ", c.model.num_heads,
                     " heads; use one of ", divisors(c.model.num_heads, kMaxListed));
  if (c.model.mlp_dim() < model)
    throw UsageError("mesh.model=", model, " is more than the MLP's ", c.model.mlp_dim(),
                     " hidden units; use fewer ranks, or a larger model.mlp_ratio");
  if (c.model.has_head() && c.model.head_outputs() < model)
    throw UsageError("mesh.model=", model, " is more than the model's ", c.model.num_classes,
                     " classes; use fewer ranks");
  if (c.state == "file" && data * model > 1)
    throw UsageError("state=file is of one process, there are ", data * model,
                     " ranks; use state=memory");
  const int64_t pieces = data * c.accumulate;
  if (c.data.batch_size % pieces != 0)
    throw UsageError(
        "data.batch_size=", c.data.batch_size, " cannot be cut into ", data, " ranks x ",
        c.accumulate, " pieces (accumulate); use a mesh.data of ",
        divisors(c.data.batch_size / std::gcd(c.data.batch_size, c.accumulate), kMaxListed),
        ", or a batch size that is a multiple of ", pieces);
}

}  // namespace vit22b
