#pragma once
#include "cli/head_command.h"

namespace vit22b {

/// How the paper's probe trains.
struct SgdProbe {
  double rate = 0.1;  ///< for a batch of 256
  int64_t epochs = 10;
  int64_t batch_size = 256;
};

/// Trains a fresh classifier on a checkpoint's pooled features, everything below frozen: SGD with
/// momentum 0.9 on a cosine to 0, no decay, mild random crops and flips, softmax. The run folder is
/// --out; the result is of the test split.
///
/// source  Dehghani et al. 2023, 4.2.1 (its rate and crop are not published; these are ours)
void run_sgd_probe(const HeadFlags& flags, const SgdProbe& probe, const Device& device);

}  // namespace vit22b
