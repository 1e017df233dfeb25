#include <numeric>

#include "core/error.h"
#include "core/range.h"
#include "data/splits.h"
#include "model/block_spec.h"
#include "model/model_cut.h"
#include "train/config.h"

namespace vit22b {
namespace {

void check_tasks(const TrainConfig& c) {
  for (const auto& options : c.tasks.all()) {
    if (c.task == options->name()) {
      options->check(c);
    } else if (const std::string option = options->set_in_vain(); !option.empty()) {
      throw UsageError(option, " is set, but task=", c.task, "; use task=", options->name());
    }
  }
}

/// Training that leaves the model's weights as they are and saves what it adds.
void check_beside_base(const TrainConfig& c) {
  const AdapterConfig defaults;
  const AdapterConfig& lora = c.model.adapters;
  if (!lora.exist() && (lora.alpha != defaults.alpha || lora.targets != defaults.targets))
    throw UsageError("lora.", lora.alpha != defaults.alpha ? "alpha" : "targets",
                     " is set, but lora.rank=0; give lora.rank");
  if (!c.saves_beside_base()) return;
  const std::string option = c.store == "streamed" ? "store=streamed" : "lora.rank";
  if (c.init_from.empty())
    throw UsageError(option, " trains beside the weights of a checkpoint; give init_from=CKPT");
  if (!c.task_options().may_start_from())
    throw UsageError(option, " is of tasks that train one tower; task=", c.task, " has another");
  if (c.mesh.model > 1)
    throw UsageError(option, " is of models that no model axis cuts; use mesh.model=1");
  block_spec(c.model);  // names a target that is none of its layers
  if (c.store != "streamed") return;
  if (!c.model.adapters.exist() && c.tune.empty() && !c.task_options().trains_own_alone(c))
    throw UsageError(
        "store=streamed trains what is small beside weights that stay in their files; give "
        "lora.rank, or name patterns as tune");
  if (c.state != "memory" || c.weights != "fp32")
    throw UsageError(
        "store=streamed keeps what trains in memory, in fp32; use store=resident with ",
        "state=", c.state, " weights=", c.weights);
}

/// Models whose probabilities are means: of what the loss makes of logits.
void check_plex(const TrainConfig& c) {
  const PlexConfig& plex = c.model.plex;
  if (!plex.is_heteroscedastic() && !plex.has_members()) return;
  const std::string option =
      plex.has_members() ? "model.batch_ensemble_blocks" : "model.head=heteroscedastic";
  if (c.task != "classify") throw UsageError(option, " is of task=classify; here it is ", c.task);
  if (c.loss != plex.head_link)
    throw UsageError(option, " averages probabilities of model.head_link=", plex.head_link,
                     ", the loss is of ", c.loss, "; use loss=", plex.head_link,
                     " or model.head_link=", c.loss);
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
  const bool has_classes = c.task_options().has_classes();
  if (!c.data.class_map.empty() && (!has_classes || c.data.val.empty() || percent(c.data.val)))
    throw UsageError("data.class_map names the classes of a split of its own; ",
                     has_classes ? concat("data.val is '", c.data.val, "'")
                                 : concat("task=", c.task, " names no class of an image"));
  for (const std::string& text : c.evaluation.evaluators) asked_evaluator(text);
  if (!c.evaluation.evaluators.empty() && !has_classes)
    throw UsageError("eval.evaluators measure classes; task=", c.task,
                     " names no class of an image");
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
  check_beside_base(c);
  check_range("data.mixup", c.data.mixup, Range::share());
  check_range("data.max_bad_fraction", c.data.max_bad_fraction, Range::share());
  check_range("data.max_pixels", static_cast<double>(c.data.max_pixels), Range::positive());
  c.optim.check();
  c.schedule.check();
  check_plex(c);
  check_tasks(c);
  if (c.seed < 0) throw UsageError("seed is ", c.seed, ", want 0 or more");
}

void check_mesh(const TrainConfig& c, const Mesh& mesh) {
  check_cut(c.model, mesh);
  const int64_t data = mesh.size(MeshAxis::kData), model = mesh.size(MeshAxis::kModel);
  if (c.state == "file" && data * model > 1)
    throw UsageError("state=file is of one process, there are ", data * model,
                     " ranks; use state=memory");
  const int64_t pieces = data * c.accumulate;
  if (c.data.batch_size % pieces != 0)
    throw UsageError("data.batch_size=", c.data.batch_size, " cannot be cut into ", data,
                     " ranks x ", c.accumulate, " pieces (accumulate); use a mesh.data of ",
                     divisors_text(c.data.batch_size / std::gcd(c.data.batch_size, c.accumulate)),
                     ", or a batch size that is a multiple of ", pieces);
}

}  // namespace vit22b
