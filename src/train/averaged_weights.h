#pragma once
#include <cstdint>
#include <string>

#include "store/updating_sink.h"

namespace vit22b {

/// For as long as it lives, a run's Polyak averages stand where its weights were; a run without
/// averages keeps its weights.
class AveragedWeights {
 public:
  /// decay    optim.polyak
  /// updates  made so far: the average of few is corrected for its start at zero
  AveragedWeights(UpdatingSink& sink, MasterStore& store, double decay, int64_t updates);
  ~AveragedWeights();
  AveragedWeights(const AveragedWeights&) = delete;
  AveragedWeights& operator=(const AveragedWeights&) = delete;

  /// The weights that training goes on from, as "raw/NAME".
  NamedParts raw() const;
  /// The name that a checkpoint keeps a weight under.
  static std::string raw_name(const std::string& name) { return "raw/" + name; }

 private:
  std::vector<UpdatingSink::Averaged> averaged_;
  std::vector<at::Tensor> raw_;
  MasterStore& store_;
};

}  // namespace vit22b
