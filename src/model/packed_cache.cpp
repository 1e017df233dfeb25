#include "model/packed_cache.h"

namespace vit22b {
namespace {

bool is_same(const std::pair<at::Tensor, uint32_t>& a, const std::pair<at::Tensor, uint32_t>& b) {
  return a.first.is_same(b.first) && a.second == b.second;
}

}  // namespace

const PackedWeights* PackedCache::get(const Engine& engine, const BlockSpec& block,
                                      const Unit& unit, const NamedTensors& weights,
                                      at::ScalarType compute_type) {
  Version version;
  version.reserve(weights.size());
  for (const auto& [name, tensor] : weights) version.emplace_back(tensor, tensor._version());
  Entry& entry = entries_[unit];
  if (!std::equal(version.begin(), version.end(), entry.version.begin(), entry.version.end(),
                  is_same)) {
    entry.packed = engine.prepare(block, weights, compute_type);
    entry.version = std::move(version);
  }
  return entry.packed.get();
}

}  // namespace vit22b
