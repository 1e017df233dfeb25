#include "plan/memory.h"

#include <algorithm>

#include "eval/feature_shards.h"
#include "eval/vit_predictor.h"
#include "kernels/cpu/product.h"
#include "model/activation_bytes.h"
#include "store/resident.h"
#include "store/streamed.h"

namespace vit22b {
namespace {

constexpr int64_t kFloatBytes = sizeof(float);
constexpr int64_t kLargeBytes = int64_t{256} << 20;  // from here on a tensor leaves no holes
constexpr int64_t kBatchesAhead = 2;                 // of the loader, beside the one in use
// Of what comes and goes: fitted on one run, b16 in bf16 with batch 16; all others are held out.
constexpr double kHeapShare = 0.08;

// What only products read, on a device.
at::ScalarType factor_type(const TrainConfig& config, const DeviceSpec& device) {
  const at::ScalarType type = precision_type(config.precision);
  return !device.is_cpu || make_engine(config.engine)->rounds_weights(type) ? type : at::kFloat;
}

int64_t image_bytes(const ViTConfig& model) {
  return model.in_chans * model.img_size.height * model.img_size.width * kFloatBytes;
}

// Of a sample as the loader gives it: an image; or a text, and its image or what it was embedded
// to.
int64_t sample_bytes(const PlanRequest& request) {
  if (request.task_work.exists) return request.task_work.sample_bytes;
  const ViTConfig& model = request.config.model;
  if (!model.reads_words()) return image_bytes(model);
  const ViTConfig& image = *request.others.image;
  const bool has_image = request.others.looked_once.empty();
  return model.text.context_length * static_cast<int64_t>(sizeof(int64_t)) +
         (has_image ? image_bytes(image) : image.embed_dim * kFloatBytes);
}

/// A model that looks at images and does not train.
struct Onlooker {
  int64_t weights = 0, packed = 0, activations = 0;
  int64_t total() const { return weights + packed + activations; }
};

Onlooker onlooker(const PlanRequest& request, const DeviceSpec& device, const ViTConfig& model,
                  int64_t images) {
  const TrainConfig& c = request.config;
  const at::ScalarType factor = factor_type(c, device);
  const std::vector<ParameterRow> table = parameter_table(model);
  NoSource source;
  Onlooker one;
  for (const auto& [name, tensor] : ResidentStore(table, source, factor, c10::kMeta).by_full_name())
    one.weights += static_cast<int64_t>(tensor.nbytes());
  if (device.is_cpu)
    one.packed =
        count_parameters(table).block_matmul * static_cast<int64_t>(c10::elementSize(factor));
  one.activations = inference_activation_bytes(model, {.images = images,
                                                       .compute_type = precision_type(c.precision),
                                                       .residual_type = residual_type(c.precision),
                                                       .factor_type = factor});
  return one;
}

// What a product packs of its second factor, a weight or activations.
int64_t panel_bytes(const PlanRequest& request, int64_t images, at::ScalarType factor) {
  const ViTConfig& model = request.config.model;
  const int64_t longest = std::max(model.embed_dim * 3, images * model.num_tokens());
  return std::min(cpu::kPackedFloats * kFloatBytes,
                  longest * model.mlp_dim() * static_cast<int64_t>(c10::elementSize(factor)));
}

bool keeps_inputs_elsewhere(const TrainConfig& c, const DeviceSpec& device) {
  return c.block_inputs == "file" || (c.block_inputs == "host" && !device.is_cpu);
}

/// What exists for a while, at one moment of a step.
struct Moment {
  int64_t gradients = 0, gathered = 0, leaves = 0, activations = 0;
  int64_t block_inputs = 0;  ///< elsewhere
  int64_t state_in_use = 0;  ///< and weights, where they lie in a file or in the host's memory
  bool has_large = false;    ///< gradients and copies are of tensors that no others come between
  int64_t total() const { return gradients + gathered + leaves + activations + state_in_use; }
  /// What comes and goes in the heap among blocks of many sizes.
  int64_t in_heap() const { return gathered + activations + (has_large ? 0 : gradients + leaves); }
};

// A unit's weights, and the state of the one of its tensors that is being updated, when float32
// copies of the weights are gone: what is read ahead is the page cache's, and what is done with is
// let go tensor by tensor.
int64_t mapped_bytes(const TrainOutline& outline, const Unit& unit, int64_t leaves) {
  const TrainOutline::UnitBytes bytes = outline.unit_bytes(unit);
  return bytes.weights + std::max<int64_t>(0, bytes.largest_state - leaves);
}

// A unit's weights and state, the weights that come next, and both of the unit before on their way
// back to the host.
int64_t copied_bytes(const TrainOutline::UnitBytes& unit) {
  return 3 * unit.weights + 2 * unit.state;
}

int64_t images_of_a_piece(const TrainConfig& c) {
  return c.data.batch_size / c.mesh.data / c.accumulate;
}

ActivationBytes activations_of(Tower tower, const ViTConfig& model, const PlanRequest& request,
                               const TrainOutline& outline, const DeviceSpec& device) {
  const TrainConfig& c = request.config;
  const bool is_main = tower == Tower::kMain;
  const int64_t taped = is_main ? outline.trained_blocks() : -1;
  const bool has_graphs =
      outline.store().is_keeping() && (!is_main || outline.is_embedding_trained());
  return training_activation_bytes(model, {.images = images_of_a_piece(c),
                                           .model_ranks = c.mesh.model,
                                           .compute_type = precision_type(c.precision),
                                           .residual_type = residual_type(c.precision),
                                           .factor_type = factor_type(c, device),
                                           .policy = activation_policy(c),
                                           .keeps_inputs = !keeps_inputs_elsewhere(c, device),
                                           .has_graphs = has_graphs,
                                           .taped_blocks = taped,
                                           .is_of_tokens = request.task_work.exists,
                                           .has_own_norms = device.is_cpu && c.mesh.model == 1});
}

// The fullest moment of one of the towers.
//
// kept  activations that the other one keeps meanwhile
Moment fullest_moment_of(Tower tower, const ViTConfig& model, int64_t kept,
                         const PlanRequest& request, const TrainOutline& outline,
                         const DeviceSpec& device) {
  const TrainConfig& c = request.config;
  const ActivationBytes activations = activations_of(tower, model, request, outline, device);
  Unit pool{UnitKind::kPool}, block = block_unit(model.depth - 1);
  pool.tower = block.tower = tower;
  const auto at = [&](const Unit& unit, Pass pass, int64_t of_activations) {
    of_activations += kept;
    const int64_t leaves = unit == pool ? outline.leaf_bytes(UnitKind::kPool) : 0;
    const int64_t state_in_use = c.state == "file" ? mapped_bytes(outline, unit, leaves)
                                 : request.has_state_on_host()
                                     ? copied_bytes(outline.unit_bytes(unit))
                                     : 0;
    return Moment{outline.gradient_bytes(unit),
                  outline.store().gathered_bytes(unit, pass),
                  outline.leaf_bytes(UnitKind::kEmbedding) + leaves,
                  of_activations,
                  activations.inputs,
                  state_in_use,
                  outline.unit_bytes(unit).largest_weight * kFloatBytes >= kLargeBytes};
  };
  const TapBytes taps = request.task_work.tap_bytes(c, outline.trained_blocks());
  const TaskWork& own = request.task_work;
  const int64_t seen = taps.held + taps.gradients + own.gradient_bytes;
  Moment in_forward = at(block, Pass::kForward, activations.forward + taps.held),
         in_pool = at(pool, Pass::kBackward, activations.pool_backward + taps.held),
         in_block = at(block, Pass::kBackward, activations.block_backward + seen);
  // A task's own head looks when the tower's forward pass is done, and has its graph then.
  Moment in_loss = in_forward;
  in_loss.activations =
      activations.kept + taps.held + activations.output + own.bytes(images_of_a_piece(c));
  if (own.exists && !own.runs_main) {
    in_loss.activations = own.bytes(images_of_a_piece(c));
    return in_loss;
  }
  if (c.update == "now") in_forward.gradients = 0;
  // Gradients from graphs are added to those of the pieces before.
  if (c.accumulate > 1)
    for (const ParameterRow& row : outline.table())
      if (row.unit == pool) in_pool.gradients += row.count() / c.mesh.model * kFloatBytes;
  // Onlookers come between the passes, when all that the backward pass needs is kept.
  Moment in_task = in_forward;
  for (const ViTConfig& looking : request.others.looking)
    in_task.activations =
        std::max(in_task.activations,
                 in_forward.activations +
                     onlooker(request, device, looking, images_of_a_piece(c)).activations);
  if (!own.exists) in_loss = in_task;
  return std::max({in_forward, in_task, in_loss, in_pool, in_block},
                  [](const Moment& a, const Moment& b) { return a.total() < b.total(); });
}

// Of two towers the image's passes forward first and backward last.
Moment fullest_moment(const PlanRequest& request, const TrainOutline& outline,
                      const DeviceSpec& device) {
  const ViTConfig& main = request.config.model;
  if (!request.others.trained_image)
    return fullest_moment_of(Tower::kMain, main, 0, request, outline, device);
  const ViTConfig& image = *request.others.trained_image;
  const ActivationBytes kept = activations_of(Tower::kImage, image, request, outline, device);
  Moment of_main = fullest_moment_of(Tower::kMain, main, kept.forward, request, outline, device),
         of_image = fullest_moment_of(Tower::kImage, image, 0, request, outline, device);
  of_main.block_inputs += kept.inputs;
  return of_main.total() > of_image.total() ? of_main : of_image;
}

// What looks at all the data once has it to itself, before the run's weights are made.
int64_t bytes_of_looking_once(const PlanRequest& request, const DeviceSpec& device) {
  int64_t most = 0;
  for (const ViTConfig& model : request.others.looked_once)
    most = std::max(most, onlooker(request, device, model, ShardOptions().batch_size).total());
  return most;
}

// Validation and checkpoints take the averages' place, and keep the weights beside them; what a
// step needs in between is not there then.
int64_t bytes_of_raw_weights(const PlanRequest& request, const TrainOutline& outline,
                             const Moment& moment) {
  if (request.config.optim.polyak == 0) return 0;
  const int64_t free = request.config.update == "now" ? moment.gradients : 0;
  return std::max<int64_t>(
      0, outline.weight_bytes() - moment.gathered - moment.leaves - moment.activations - free);
}

}  // namespace

std::vector<MemoryItem> training_memory(const PlanRequest& request, const TrainOutline& outline,
                                        const DeviceSpec& device, int64_t program_bytes) {
  const TrainConfig& c = request.config;
  const Place here = device.is_cpu ? Place::kHost : Place::kDevice;
  const int64_t weights = outline.weight_bytes(), state = outline.state_bytes();
  const Moment moment = fullest_moment(request, outline, device);
  const int64_t batch = c.data.batch_size / c.mesh.data * sample_bytes(request);
  std::vector<MemoryItem> items = {{Place::kHost, "program", program_bytes}};
  if (moment.state_in_use > 0)
    items.push_back({here, "weights and optimizer state in use", moment.state_in_use});
  if (c.state == "file") {
    items.push_back({Place::kDisk, "state file", weights + state});
  } else {
    const Place place = request.has_state_on_host() ? Place::kHost : here;
    items.push_back({place, "weights", weights});
    items.push_back({place, "optimizer state", state});
  }
  items.insert(items.end(), {{here, "weights read in every pass", outline.streamed_bytes()},
                             {here, "gradients", moment.gradients},
                             {here, "gathered weights", moment.gathered},
                             {here, "float32 copies of weights", moment.leaves},
                             {here, "activations", moment.activations},
                             {here, "weights beside their averages",
                              bytes_of_raw_weights(request, outline, moment)},
                             {Place::kHost, "data set", request.data_bytes},
                             {Place::kHost, "batches", batch * (1 + kBatchesAhead)}});
  if (device.is_cpu)
    items.push_back(
        {here, "packed factors",
         panel_bytes(request, c.data.batch_size / c.mesh.data, factor_type(c, device))});
  else
    items.push_back({here, "images", batch});
  items.push_back({c.block_inputs == "file" ? Place::kDisk : Place::kHost, "block inputs",
                   moment.block_inputs});
  // Those that are kept, the best and the one being written; every rank's part.
  items.push_back({Place::kDisk, "checkpoints",
                   (c.keep_last + 2) * (weights + state) * c.mesh.model *
                       (c.store == "sharded" ? c.mesh.data : 1)});
  if (device.is_cpu)
    items.push_back({here, "lost between blocks of the heap",
                     static_cast<int64_t>(kHeapShare * static_cast<double>(moment.in_heap()))});
  for (const ViTConfig& model : request.others.looking) {
    const Onlooker one = onlooker(request, device, model, images_of_a_piece(c));
    items.push_back({here, "weights of models that look on", one.weights + one.packed});
  }
  int64_t running = 0;  // in a step, where what looks once was before it
  for (const MemoryItem& item : items)
    if (item.place == here && item.what != "program") running += item.bytes;
  items.push_back({here, "looking at the data once, beyond what a step takes",
                   std::max<int64_t>(0, bytes_of_looking_once(request, device) - running)});
  std::erase_if(items, [](const MemoryItem& item) { return item.bytes == 0; });
  return items;
}

std::vector<MemoryItem> inference_memory(const PlanRequest& request, const DeviceSpec& device,
                                         int64_t program_bytes) {
  const TrainConfig& c = request.config;
  const std::vector<ParameterRow> table = parameter_table(c.model);
  const Place here = device.is_cpu ? Place::kHost : Place::kDevice;
  const at::ScalarType type = precision_type(c.precision), factor = factor_type(c, device);
  const int64_t images = c.data.batch_size;
  std::vector<MemoryItem> items = {{Place::kHost, "program", program_bytes}};
  const ParameterCounts counts = count_parameters(table);
  if (request.store == "resident") {
    NoSource source;
    const ResidentStore store(table, source, factor, c10::kMeta);
    int64_t weights = 0;
    for (const auto& [name, tensor] : store.by_full_name())
      weights += static_cast<int64_t>(tensor.nbytes());
    items.push_back({here, "weights", weights});
    if (device.is_cpu)
      items.push_back({here, "packed weights",
                       counts.block_matmul * static_cast<int64_t>(c10::elementSize(factor))});
  } else {
    const StreamedStore store(table, std::make_unique<NoSource>(request.store == "generated"),
                              factor);
    items.push_back({here, "weights in use", store.held_bytes()});
    if (device.is_cpu)
      items.push_back({here, "packed factors", panel_bytes(request, images, factor)});
    else
      items.push_back({Place::kHost, "pinned memory of weights in use", store.slot_bytes()});
  }
  const int64_t tokens = c.model.num_tokens() * c.model.embed_dim;
  items.insert(items.end(),
               {{here, "activations",
                 inference_activation_bytes(c.model, {.images = images,
                                                      .compute_type = type,
                                                      .residual_type = residual_type(c.precision),
                                                      .factor_type = factor})},
                {Place::kHost, "images", 2 * images * image_bytes(c.model)},
                {Place::kHost, "features",
                 images * (tokens + c.model.embed_dim + c.model.num_classes) * kFloatBytes}});
  if (request.store != "generated")
    items.push_back(
        {Place::kDisk, "checkpoint",
         request.checkpoint_bytes > 0 ? request.checkpoint_bytes : counts.total * kFloatBytes});
  return items;
}

}  // namespace vit22b
