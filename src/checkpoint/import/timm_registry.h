#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace vit22b {

/// The arguments that one of timm's architectures stands for, as a JSON object in timm's names; the
/// key "class" names a class other than timm's VisionTransformer.
///
/// architecture  timm's exact name, a tag (".augreg_in1k") left away or not
/// place         the file that names it, for the error
/// throws        CheckpointError for a name that is not in timm's registry, with the nearest one
/// source        timm_registry.inc, which tests/oracle/make_timm_registry.py makes from timm itself
std::string_view timm_arguments(const std::string& architecture, const std::string& place);

/// timm's names of them all.
std::vector<std::string> timm_architectures();

}  // namespace vit22b
