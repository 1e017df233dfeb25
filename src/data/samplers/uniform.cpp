#include "core/rng.h"
#include "data/samplers/replacement.h"

namespace vit22b {
namespace {

class Uniform : public Sampler {
 public:
  Uniform(int64_t num_samples, uint64_t seed)
      : num_samples_(num_samples), seed_(seed), replacements_(seed) {}

  SampleAddress at(uint64_t global_index) const override {
    return {0, sample_at(global_index, num_samples_, seed_)};
  }
  SampleAddress instead_of(uint64_t global_index, uint64_t attempt) const override {
    return {0, replacements_.draw(global_index, attempt, num_samples_)};
  }

 private:
  int64_t num_samples_;
  uint64_t seed_;
  Replacements replacements_;
};

}  // namespace

int64_t sample_at(uint64_t global_index, int64_t num_samples, uint64_t seed) {
  const auto n = static_cast<uint64_t>(num_samples);
  const RandomPermutation order(n, seed, "epoch " + std::to_string(global_index / n));
  return static_cast<int64_t>(order(global_index % n));
}

std::unique_ptr<Sampler> uniform_sampler(int64_t num_samples, uint64_t seed) {
  return std::make_unique<Uniform>(num_samples, seed);
}

}  // namespace vit22b
