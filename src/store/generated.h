#pragma once
#include <cstdint>

#include "store/weight_source.h"

namespace vit22b {

/// Fresh weights made on the fly by the counter-based generator: bit for bit those that
/// initialisation writes, and nothing is stored.
class GeneratedSource : public WeightSource {
 public:
  explicit GeneratedSource(uint64_t seed) : seed_(seed) {}
  void read(const ParameterRow& row, at::Tensor& target) override;
  bool is_computing() const override { return true; }

 private:
  uint64_t seed_;
};

}  // namespace vit22b
