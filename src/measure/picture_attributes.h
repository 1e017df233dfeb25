#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace vit22b {

/// Pictures of members of groups, each with a truth, and what each is for.
struct PictureAttributes {
  enum class Part { kTrain, kFit, kTest };  ///< fit: of randomised thresholds

  std::string place;                  ///< for messages
  std::vector<std::string> pictures;  ///< as the table names them
  std::vector<bool> labels;
  std::vector<std::string> groups;
  std::vector<Part> parts;  ///< empty where nobody has said
  std::string parts_by;     ///< a file, a column, or how they were drawn

  int64_t size() const { return std::ssize(pictures); }
  /// The rows of a part, ascending.
  std::vector<int64_t> rows(Part part) const;
};

/// Reads CelebA's list_attr_celeba.txt (a count, the attributes' names, a row a picture), or
/// separated values (commas, or tabs in a .tsv) with a column `filepath`, `image_id`, `file_name`,
/// `filename`, `path` or `image`; where that has a column `split` or `partition`, the parts too.
///
/// label, group  columns; labels as truth_of has them
/// throws        DataError naming the file, and line or column
PictureAttributes read_picture_attributes(const std::filesystem::path& file,
                                          const std::string& label, const std::string& group);

/// Sets the parts from CelebA's list_eval_partition.txt, or separated values with the columns
/// above: 0, 1, 2, or train, val (valid, validation), test.
///
/// throws  DataError for a picture that the file has not
void read_partition(const std::filesystem::path& file, PictureAttributes& attributes);

/// Draws the parts by the seed, where nothing says them: half to train, a quarter each to fit and
/// to test.
void draw_parts(PictureAttributes& attributes, uint64_t seed);

}  // namespace vit22b
