#pragma once
#include <vector>

#include "cli/head_command.h"
#include "cli/probe_sgd.h"
#include "core/device.h"
#include "transfer/head_grid.h"

namespace vit22b {

/// What probe's methods are told.
struct ProbeFlags {
  HeadFlags head;
  std::string method = "lbfgs";
  double c = 0;  ///< 0: the best of a path
  int64_t path = 12;
  double tolerance = 1e-6, hold_out = 0.1;
  int64_t max_iterations = 1000;
  std::vector<double> rates = head_grid_rates();
  int64_t epochs = 10, head_batch = 1024;
  SgdProbe sgd;
};

/// Logistic regression on one input; C by samples held out where none is given.
void run_lbfgs_probe(const ProbeFlags& flags, const Device& device);
/// DINOv2's grid of heads by SGD, on all the inputs that a model offers.
void run_grid_probe(const ProbeFlags& flags, const Device& device);

}  // namespace vit22b
