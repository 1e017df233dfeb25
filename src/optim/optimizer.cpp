#include "optim/optimizer.h"

#include "core/range.h"
#include "optim/adafactor.h"
#include "optim/adamw.h"
#include "optim/sgd.h"

namespace vit22b {

void OptimConfig::fields(FieldVisitor& v) {
  v.choice("name", name, "adafactor|adamw|sgd", "update rule; adafactor is the paper's variant");
  v.field("lr", lr, "learning rate at the schedule's value 1");
  v.field("weight_decay", weight_decay,
          "decay of kernels, decoupled and multiplied by the scheduled rate");
  v.field("head_weight_decay", head_weight_decay, "decay of the classifier's kernel");
  v.field("clip_norm", clip_norm, "largest global gradient norm; 0 for no clipping");
  v.choice("rounding", rounding, "stochastic|nearest",
           "of updated bf16 weights; nearest loses small updates, and is there to compare");
  v.choice("clip", clip, "exact|previous",
           "clip by this step's norm, or, with update=now, by the previous step's");
  v.field("momentum", momentum, "first-moment factor (beta 1)");
  v.field("beta2_cap", beta2_cap, "adafactor: largest second-moment factor");
  v.field("beta2", beta2, "adamw: second-moment factor");
  v.field("eps", eps, "adamw: added to the root of the second moment");
  v.field("layer_decay", layer_decay,
          "factor on the rate for each block further from the head (BEiT); 1 for none");
  v.field("polyak", polyak,
          "decay of a running average of the weights, which is evaluated and saved; 0 for none");
  v.field("min_dim_size_to_factor", min_dim_size_to_factor,
          "adafactor: smaller matrices keep a full second moment");
}

void OptimConfig::check() const {
  check_range("optim.lr", lr, Range::from_zero());
  check_range("optim.weight_decay", weight_decay, Range::from_zero());
  check_range("optim.head_weight_decay", head_weight_decay, Range::from_zero());
  check_range("optim.clip_norm", clip_norm, Range::from_zero());
  check_range("optim.momentum", momentum, Range::below_one());
  check_range("optim.beta2_cap", beta2_cap, Range::share());
  check_range("optim.beta2", beta2, Range::below_one());
  check_range("optim.eps", eps, Range::positive());  // 0 / 0 where there was no gradient yet
  check_range("optim.layer_decay", layer_decay, {.high = 1, .has_low = false});
  check_range("optim.polyak", polyak, Range::below_one());
  check_range("optim.min_dim_size_to_factor", static_cast<double>(min_dim_size_to_factor),
              {.low = 1});
}

std::unique_ptr<Optimizer> make_optimizer(const OptimConfig& config) {
  config.check();
  if (config.name == "adafactor") return std::make_unique<Adafactor>(config);
  if (config.name == "adamw") return std::make_unique<AdamW>(config);
  return std::make_unique<Sgd>(config);
}

}  // namespace vit22b
