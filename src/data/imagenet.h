#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vit22b {

/// The classes of an ImageNet classifier, in the order of its outputs.
struct ImageNetClasses {
  std::vector<std::string> wnids;  ///< WordNet's synsets, such as "n01440764"; each is there once
  std::vector<std::string> names;  ///< "tench, Tinca tinca"; a few are there twice ("crane")
};

/// What a pretrained classifier tells of the data that it was last trained on.
struct PretrainedTag {
  std::string text;  ///< timm's tag, such as "augreg2_in21k_ft_in1k"; "" where there is none
  int64_t num_classes = 0;
};

/// The classes of a pretrained classifier: by what its tag ends in ("in1k", "in12k", "in21k",
/// "in22k") and their number, which has to be that set's; without a tag by the number alone.
///
/// returns  nothing for other tags ("laion2b", "dino") and other numbers
std::optional<ImageNetClasses> imagenet_classes(const PretrainedTag& tag);

}  // namespace vit22b
