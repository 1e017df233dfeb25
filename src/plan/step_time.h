#pragma once
#include <string>
#include <vector>

#include "core/device_spec.h"
#include "plan/outline.h"

namespace vit22b {

/// What one rank does in a step of training, or in a forward pass over a batch.
struct RankWork {
  double product_flops = 0, attention_flops = 0;
  double passed_bytes = 0;   ///< of activations, by what is no product
  double updated_bytes = 0;  ///< read and written by the optimizer
  double ring_bytes = 0;     ///< sent along the model axis, beside the blocks' products
  double hidden_bytes = 0;   ///< sent along the data axis while blocks compute
  double exposed_bytes = 0;  ///< sent along the data axis while nothing computes
  double from_host_bytes = 0, to_host_bytes = 0;  ///< of weights and state, while blocks compute
  double from_disk_bytes = 0;                     ///< of weights, while blocks compute

  double sent_bytes() const { return ring_bytes + hidden_bytes + exposed_bytes; }
};

/// `spare_bytes` of the host's memory can hold what was read from the disk before.
RankWork training_work(const PlanRequest& request, const TrainOutline& outline,
                       const DeviceSpec& device, double spare_bytes);
RankWork inference_work(const PlanRequest& request, const DeviceSpec& device, double spare_bytes);

/// A part of a step's time.
struct TimePart {
  std::string what;
  double seconds;
};

/// How long a step takes, and what it waits for longest.
struct StepTime {
  double seconds = 0;
  std::string limit;
  std::vector<TimePart> parts;  ///< transfers beside the computing count where they are longer
};

/// Transfers, as far as they take longer than the computing that they run beside.
std::vector<TimePart> transfer_parts(const PlanRequest& request, const RankWork& work,
                                     const DeviceSpec& device, double computing_seconds);
/// Parts one after the other; those that take no time are left out.
StepTime time_of(std::vector<TimePart> parts);

/// Each kind of work at the rate that the device gives it.
StepTime roofline(const PlanRequest& request, const RankWork& work, const DeviceSpec& device);

/// Runs the command itself on this machine with one block and with some more, and counts on to its
/// depth: as one process, over the whole batch. Transfers between ranks are the roofline's.
///
/// returns  0 seconds where two blocks are more than `memory_bytes` hold
StepTime rehearse(const PlanRequest& request, const RankWork& work, const DeviceSpec& device,
                  int64_t memory_bytes);

/// Runs a tiny model's command of the same kind, so that this process has what such a process has,
/// and returns its resident bytes.
int64_t bytes_of_a_program(const PlanRequest& request);

}  // namespace vit22b
