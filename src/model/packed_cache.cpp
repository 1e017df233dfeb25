#include "model/packed_cache.h"

namespace vit22b {

const PackedWeights* PackedCache::get(const Engine& engine, const ViTConfig& config,
                                      const Unit& unit, const NamedTensors& weights,
                                      at::ScalarType compute_type) {
  Version version;
  version.reserve(weights.size());
  for (const auto& [name, tensor] : weights)
    version.emplace_back(tensor.const_data_ptr(), tensor._version());
  Entry& entry = entries_[unit];
  if (entry.version != version) {
    entry.packed = engine.prepare(config, weights, compute_type);
    entry.version = std::move(version);
  }
  return entry.packed.get();
}

}  // namespace vit22b
