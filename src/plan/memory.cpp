#include "plan/memory.h"

#include <algorithm>

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

Moment fullest_moment(const PlanRequest& request, const TrainOutline& outline,
                      const DeviceSpec& device) {
  const TrainConfig& c = request.config;
  const at::ScalarType type = precision_type(c.precision);
  const ActivationBytes activations =
      training_activation_bytes(c.model, {.images = c.data.batch_size / c.mesh.data / c.accumulate,
                                          .model_ranks = c.mesh.model,
                                          .compute_type = type,
                                          .residual_type = residual_type(c.precision),
                                          .factor_type = factor_type(c, device),
                                          .policy = activation_policy(c),
                                          .keeps_inputs = !keeps_inputs_elsewhere(c, device),
                                          .has_graphs = outline.store().is_keeping(),
                                          .has_own_norms = device.is_cpu && c.mesh.model == 1});
  const Unit pool{UnitKind::kPool}, block = block_unit(c.model.depth - 1);
  const auto at = [&](const Unit& unit, Pass pass, int64_t of_activations) {
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
  Moment in_forward = at(block, Pass::kForward, activations.forward),
         in_pool = at(pool, Pass::kBackward, activations.pool_backward),
         in_block = at(block, Pass::kBackward, activations.block_backward);
  if (c.update == "now") in_forward.gradients = 0;
  // Gradients from graphs are added to those of the pieces before.
  if (c.accumulate > 1)
    for (const ParameterRow& row : outline.table())
      if (row.unit == pool) in_pool.gradients += row.count() / c.mesh.model * kFloatBytes;
  return std::max({in_forward, in_pool, in_block},
                  [](const Moment& a, const Moment& b) { return a.total() < b.total(); });
}

}  // namespace

std::vector<MemoryItem> training_memory(const PlanRequest& request, const TrainOutline& outline,
                                        const DeviceSpec& device, int64_t program_bytes) {
  const TrainConfig& c = request.config;
  const Place here = device.is_cpu ? Place::kHost : Place::kDevice;
  const int64_t weights = outline.weight_bytes(), state = outline.state_bytes();
  const Moment moment = fullest_moment(request, outline, device);
  const int64_t batch = c.data.batch_size / c.mesh.data * image_bytes(c.model);
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
  items.insert(items.end(), {{here, "gradients", moment.gradients},
                             {here, "gathered weights", moment.gathered},
                             {here, "float32 copies of weights", moment.leaves},
                             {here, "activations", moment.activations},
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
    items.push_back({Place::kDisk, "checkpoint", counts.total * kFloatBytes});
  return items;
}

}  // namespace vit22b
