#include <algorithm>

#include "eval/vit_predictor.h"
#include "model/flops.h"
#include "plan/step_time.h"

namespace vit22b {
namespace {

constexpr double kFloatBytes = sizeof(float);

double of_others(int64_t ranks) {
  return static_cast<double>(ranks - 1) / static_cast<double>(ranks);
}

double compute_bytes(const PlanRequest& request) {
  return static_cast<double>(c10::elementSize(precision_type(request.config.precision)));
}

// A forward pass of a rank's images.
RankWork forward_work(const PlanRequest& request, const ViTConfig& model) {
  const TrainConfig& c = request.config;
  const double images = static_cast<double>(c.data.batch_size) / static_cast<double>(c.mesh.data),
               ranks = static_cast<double>(c.mesh.model),
               tokens = static_cast<double>(model.num_tokens()),
               width = static_cast<double>(model.embed_dim),
               hidden = static_cast<double>(model.mlp_dim()),
               depth = static_cast<double>(model.depth);
  RankWork work;
  work.attention_flops = images * depth * 4 * tokens * tokens * width / ranks;
  work.product_flops = images * forward_flops(model) / ranks - work.attention_flops;
  // Norm, attention, GELU and residual: what each reads and writes.
  work.passed_bytes =
      images * tokens * depth * compute_bytes(request) * (11 * width + 3 * hidden) / ranks;
  // A gathering and a scattering ring a block.
  work.ring_bytes =
      2 * images * tokens * depth * width * compute_bytes(request) * of_others(c.mesh.model);
  return work;
}

// Passes that bring in all weights anew, as a step or a batch makes.
void add_reading(const PlanRequest& request, const DeviceSpec& device, double spare_bytes,
                 double passes, RankWork& work) {
  const auto elements =
      static_cast<double>(count_parameters(parameter_table(request.config.model)).total);
  if (!device.is_cpu) work.from_host_bytes += passes * elements * compute_bytes(request);
  const double stored_bytes = request.checkpoint_bytes > 0
                                  ? static_cast<double>(request.checkpoint_bytes)
                                  : elements * kFloatBytes;
  if (request.is_streamed() && stored_bytes > spare_bytes)
    work.from_disk_bytes = passes * stored_bytes;
}

}  // namespace

RankWork inference_work(const PlanRequest& request, const DeviceSpec& device, double spare_bytes) {
  RankWork work = forward_work(request, request.config.model);
  if (request.store != "resident") add_reading(request, device, spare_bytes, 1, work);
  return work;
}

std::vector<TimePart> transfer_parts(const PlanRequest& request, const RankWork& work,
                                     const DeviceSpec& device, double computing) {
  const MeshConfig& mesh = request.config.mesh;
  const auto rate_of = [&](int64_t ranks) {
    return ranks <= device.devices_a_host ? device.link_bytes_per_second
                                          : device.network_bytes_per_second;
  };
  const double ring = work.ring_bytes / rate_of(mesh.model),
               hidden = work.hidden_bytes / rate_of(mesh.data * mesh.model),
               exposed = work.exposed_bytes / rate_of(mesh.data * mesh.model),
               host = std::max(work.from_host_bytes, work.to_host_bytes) /
                      device.host_bytes_per_second,
               disk = device.disk_bytes_per_second > 0
                          ? work.from_disk_bytes / device.disk_bytes_per_second
                          : 0;
  return {{"transfers of the model axis beyond the computing", std::max(0.0, ring - computing)},
          {"transfers of the data axis", exposed + std::max(0.0, hidden - computing)},
          {"transfers of the host's memory beyond the computing", std::max(0.0, host - computing)},
          {"reading the disk beyond all that", std::max(0.0, disk - std::max(computing, host))}};
}

StepTime time_of(std::vector<TimePart> parts) {
  std::erase_if(parts, [](const TimePart& part) { return part.seconds <= 0; });
  StepTime time;
  for (const TimePart& part : parts) time.seconds += part.seconds;
  time.limit =
      std::max_element(parts.begin(), parts.end(), [](const TimePart& a, const TimePart& b) {
        return a.seconds < b.seconds;
      })->what;
  time.parts = std::move(parts);
  return time;
}

RankWork training_work(const PlanRequest& request, const TrainOutline& outline,
                       const DeviceSpec& device, double spare_bytes) {
  const TrainConfig& c = request.config;
  const double again = c.activation == "recompute" ? 1 : 0;
  const auto phases = static_cast<double>(outline.sinks().updating->phases().size());
  RankWork work;
  // Scores are made again; backward kernels read and write twice as much, and the residual's
  // gradients in float32.
  const auto train = [&](const ViTConfig& model, const BackwardShare& share) {
    const RankWork forward = forward_work(request, model);
    const double back = share.inputs;
    work.product_flops += phases * (1 + back * (1 + again) + share.weights) * forward.product_flops;
    work.attention_flops += phases * (1 + back * (2.5 + again)) * forward.attention_flops;
    work.passed_bytes += phases * (1 + back * (2.5 + again)) * forward.passed_bytes;
    work.ring_bytes += phases * (1 + back * (1 + again / 2)) * forward.ring_bytes;
  };
  train(c.model, outline.backward_share());
  if (request.others.trained_image)
    train(*request.others.trained_image,
          {request.others.trained_share, request.others.trained_share});
  for (const ViTConfig& model : request.others.looking) train(model, {0, 0});
  const auto weights = static_cast<double>(outline.weight_bytes()),
             state = static_cast<double>(outline.state_bytes());
  double elements = 0;
  for (const ParameterRow& row : outline.table())
    elements += static_cast<double>(outline.weight(row).numel());
  work.updated_bytes = 2 * (weights + state) + 2 * kFloatBytes * elements;
  if (request.has_state_on_host()) {
    work.from_host_bytes = phases * 2 * weights + state;
    work.to_host_bytes = weights + state;
  }
  if (c.store != "sharded") {
    work.exposed_bytes = phases * 2 * kFloatBytes * elements * of_others(c.mesh.data);
  } else {
    // Weights are gathered for either pass, gradients scattered in the second.
    const double whole = kFloatBytes * elements * static_cast<double>(c.mesh.data);
    work.hidden_bytes = phases * 3 * whole * of_others(c.mesh.data);
  }
  if (request.is_streamed())
    add_reading(request, device, spare_bytes, phases * 2 * static_cast<double>(c.accumulate), work);
  return work;
}

StepTime roofline(const PlanRequest& request, const RankWork& work, const DeviceSpec& device) {
  const double peak = device.peak_flops(request.config.precision);
  const double products = work.product_flops / (peak * device.product_share),
               attention = work.attention_flops / (peak * device.attention_share),
               passes = work.passed_bytes / device.memory_bytes_per_second,
               update = work.updated_bytes / device.memory_bytes_per_second;
  std::vector<TimePart> parts = {{"products", products},
                                 {"attention", attention},
                                 {"memory traffic of activations", passes},
                                 {"optimizer update", update}};
  const std::vector<TimePart> transfers =
      transfer_parts(request, work, device, products + attention + passes);
  parts.insert(parts.end(), transfers.begin(), transfers.end());
  return time_of(std::move(parts));
}

}  // namespace vit22b
