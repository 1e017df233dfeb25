#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/fields.h"
#include "core/watch.h"
#include "data/loader.h"
#include "data/source.h"

namespace vit22b {

/// What a pixel of no class has, once the values of masks are classes: it counts for nothing.
constexpr int32_t kNoClass = -1;

/// Which class a value of a mask is. The only place where values become classes.
struct MaskLabels {
  int64_t ignore_index = 255;  ///< value of pixels of no class
  int64_t label_offset = 0;    ///< added to all other values; what falls below 0 has no class

  /// The options, as a config has them.
  void fields(FieldVisitor& visitor);
  /// The class of a value, or kNoClass.
  int64_t class_of(int64_t value) const;
  /// The classes of a mask.
  ///
  /// values   [H, W, 1] or [H, W] int32
  /// returns  the same shape; kNoClass where there is none
  /// throws   DataError naming the sample, a value whose class is not below num_classes (0: any),
  ///          and what to do
  at::Tensor classes(const at::Tensor& values, int64_t num_classes, const std::string& id) const;
};

/// A source whose masks are decoded, with classes for values.
///
/// throws  (when it reads) as MaskLabels::classes, and DataError for a sample without a mask
std::shared_ptr<const DataSource> with_mask_classes(std::shared_ptr<const DataSource> source,
                                                    const MaskLabels& labels, int64_t num_classes);

/// How often values occur in masks.
struct MaskCensus {
  struct Count {
    int64_t pixels = 0, masks = 0;
  };
  std::map<int64_t, Count> values;  ///< as the files have them
  int64_t num_masks = 0, num_pixels = 0;
  std::vector<BadSample> bad = {};  ///< masks that could not be read

  /// The number of classes that these values need.
  int64_t num_classes(const MaskLabels& labels) const;
};

/// Counts the values of at most so many masks, spread evenly over a source.
///
/// throws  DataError where none can be read; Stopped
MaskCensus census_of_masks(const DataSource& source, int64_t most_masks, const Watch& watch = {});

/// The census for people, a class a line, the most frequent values first, then what looks wrong.
std::string census_text(const MaskCensus& census, const MaskLabels& labels,
                        const std::vector<std::string>& names);

/// What looks wrong: values beyond the classes, what looks like labels off by one, edges blended
/// between values, a single class, classes never seen.
std::vector<std::string> census_warnings(const MaskCensus& census, const MaskLabels& labels,
                                         const std::vector<std::string>& names);

}  // namespace vit22b
