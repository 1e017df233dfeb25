#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "eval/label_map.h"

namespace vit22b {

/// Which of a model's classes are right for each sample of a data set: several where a class of the
/// data is many of the model's, or where a picture shows many things; none where nobody knows.
struct RightAnswers {
  std::vector<std::vector<int64_t>> sets;  ///< of the model's classes, ascending, each once
  std::vector<int64_t> set_of;             ///< by sample: which of the sets; -1 for none
  std::string by;                          ///< what they are known by, as LabelMap has it

  /// All classes that are right for some sample, ascending.
  std::vector<int64_t> classes() const;
  /// The samples that have a right answer, ascending.
  std::vector<int64_t> samples() const;
};

/// By the samples' labels.
///
/// map     "" or a text file as label_map has them; a JSON file with an object of the data's
///         classes, each with a class of the model (its name or number) or a list of such, or with
///         names that stand between "; "; or ObjectNet's folder of mappings. Classes that a JSON
///         file or a folder does not have are left out with their samples.
/// throws  DataError for a class that the model has not, for a file that is no such map, and where
///         it has none of the data's classes; as label_map
RightAnswers right_by_class(const DataSource& source, const std::string& place,
                            const KnownClasses& known, const std::filesystem::path& map);

/// By the samples' pictures, from a JSON file with a list of classes' numbers for each: ImageNet
/// ReaL's, a list in the order of the validation pictures, whose names end in their number
/// (ILSVRC2012_val_00000001.JPEG is the first); or an object by the pictures' file names.
///
/// throws  DataError for another file, a picture that it has not, and a number that is no class's
RightAnswers right_by_picture(const DataSource& source, const std::filesystem::path& file,
                              int64_t num_classes);

}  // namespace vit22b
