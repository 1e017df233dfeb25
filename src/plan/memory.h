#pragma once
#include <string>
#include <vector>

#include "core/device_spec.h"
#include "plan/outline.h"

namespace vit22b {

enum class Place { kDevice, kHost, kDisk };

/// Something that takes room, at the moment when a rank holds the most.
struct MemoryItem {
  Place place;
  std::string what;
  int64_t bytes;
};

/// What a rank of a training run holds.
///
/// program_bytes  of the process before it has a model
std::vector<MemoryItem> training_memory(const PlanRequest& request, const TrainOutline& outline,
                                        const DeviceSpec& device, int64_t program_bytes);

/// What `features` over one batch holds.
std::vector<MemoryItem> inference_memory(const PlanRequest& request, const DeviceSpec& device,
                                         int64_t program_bytes);

}  // namespace vit22b
