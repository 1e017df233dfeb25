#include "train/head_recipe.h"

namespace vit22b {
namespace {

// DINOv3's linear recipe (AdamW at 1e-3, warm-up, cosine), shorter, since the features are there
// already.
constexpr std::string_view kSegment[] = {
    "task=segment",         "segment.head=bn_linear", "total_epochs=20", "warmup_percent=5",
    "data.batch_size=16",   "optim.name=adamw",       "optim.lr=1e-3",   "optim.weight_decay=1e-3",
    "schedule.name=cosine", "log_steps=50",           "eval_epochs=5",   "ckpt_epochs=5"};

// The same for depth, beside DINOv2's loss.
constexpr std::string_view kDepth[] = {
    "task=depth",           "depth.head=bn_linear", "depth.gradient_weight=0.5",
    "total_epochs=20",      "warmup_percent=5",     "data.batch_size=16",
    "optim.name=adamw",     "optim.lr=1e-3",        "optim.weight_decay=1e-3",
    "schedule.name=cosine", "log_steps=50",         "eval_epochs=5",
    "ckpt_epochs=5"};

}  // namespace

std::span<const std::string_view> head_recipe(std::string_view task) {
  if (task == "depth") return kDepth;
  return task == "segment" ? kSegment : std::span<const std::string_view>();
}

}  // namespace vit22b
