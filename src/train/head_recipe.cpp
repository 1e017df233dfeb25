#include "train/head_recipe.h"

#include "checkpoint/model_info.h"
#include "core/config.h"
#include "core/text.h"

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

std::vector<std::string> head_of_checkpoint(std::string_view task, const std::string& checkpoint) {
  if (task != "depth" || !may_be_checkpoint(checkpoint)) return {};
  const ModelInfo info = read_model_info(resolve_checkpoint(checkpoint));
  if (!info.depth) return {};
  DepthInfo head = *info.depth;
  std::vector<std::string> assignments;
  for (const FieldText& field : list_fields([&](FieldVisitor& v) {
         head.head.fields(v);
         head.output.fields(v);
       }))
    assignments.push_back(concat("depth.", field.key, "=", field.value));
  assignments.push_back(concat("depth.padded_around=", head.is_padded_around ? "true" : "false"));
  if (head.output.is_relative()) assignments.emplace_back("depth.loss=ssi");
  return assignments;
}

}  // namespace vit22b
