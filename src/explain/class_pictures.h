#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace vit22b {

/// The colour of a class's number: Pascal VOC's colour map, whose bits are spread over the
/// channels; 0 is black.
std::array<uint8_t, 3> class_colour(int64_t index);

/// A picture under its classes' colours, half of each; `plain`, such as the background, stays as it
/// is, as do pixels below 0.
///
/// picture_HWC  uint8, 1 or 3 channels
/// classes_HW   int32
/// plain        -1 for none
/// returns      uint8 [H, W, 3]
at::Tensor class_overlay(const at::Tensor& picture_HWC, const at::Tensor& classes_HW,
                         int64_t plain);

/// The class that pictures show as they are: the first, where it is called background; else -1.
int64_t plain_class(const std::vector<std::string>& names);

/// A picture and its page's words.
struct SheetPicture {
  std::string file;   ///< beside the page
  std::string title;  ///< below it
};
/// A page of pictures with the classes that they show as a legend: HTML without scripts.
///
/// shares  of all pixels, by class; those of 0 are left out
std::string class_sheet(const std::string& title, const std::vector<SheetPicture>& pictures,
                        const std::vector<std::string>& names, const std::vector<double>& shares);

}  // namespace vit22b
