#include "checkpoint/import/depth_given.h"

#include <algorithm>
#include <set>

#include "checkpoint/import/given.h"
#include "core/error.h"

namespace vit22b {
namespace {

bool is_in(const std::vector<std::string>& words, const char* word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// What is missing, of what has to be given.
void check_given(const ConfigTree& tree, const std::vector<std::string>& wanted,
                 const DepthInfo& info) {
  if (is_in(wanted, "layers") && info.head.layers.empty())
    throw UsageError(
        "its tensors do not say which blocks the head sees; add depth.layers=… behind the "
        "checkpoint, such as ?depth.layers=2,5,8,11 (Depth Anything V2 and DPT of 12 blocks; "
        "4,11,17,23 of 24, DPT 5,11,17,23), or the last four (Depth Anything V1: 8,9,10,11 of 12)");
  if (is_in(wanted, "output") && tree.count("output") == 0)
    throw UsageError(
        "it does not say what its numbers are; add behind the checkpoint ?depth.output=relative "
        "(inverse depth without scale: MiDaS' DPT, Depth Anything), "
        "?depth.output=metres&depth.max_depth=10 (DINOv2's of NYU; 80 of KITTI), or "
        "?depth.output=sigmoid&depth.max_depth=20 (Depth Anything V2 metric, indoors; 80 "
        "outdoors)");
  if (is_in(wanted, "max_depth") && !info.output.is_relative() && tree.count("max_depth") == 0)
    throw UsageError(
        "it does not say how far it has seen; add depth.max_depth=… behind the "
        "checkpoint, in metres: 10 for NYU, 80 for KITTI");
}

}  // namespace

void apply_given_depth(const ImportFiles& files, const std::vector<std::string>& wanted,
                       DepthInfo& info) {
  const ConfigTree tree = given_of_depth(files);
  std::set<std::string> keys;
  for (const FieldText& field : list_fields([&](FieldVisitor& v) {
         info.head.fields(v);
         info.output.fields(v);
       }))
    keys.insert(field.key);
  for (const auto& [key, value] : tree)  // of unknown ones apply_config says the nearest
    if (keys.count(key) != 0 && !is_in(wanted, key.c_str()))
      throw UsageError("depth.", key, " is given, but the checkpoint's head says it itself",
                       wanted.empty()
                           ? ""
                           : concat("; only depth.", join(wanted, ", depth."), " are to be given"));
  apply_config(tree, [&](FieldVisitor& v) {
    info.head.fields(v);
    info.output.fields(v);
  });
  check_given(tree, wanted, info);
}

}  // namespace vit22b
