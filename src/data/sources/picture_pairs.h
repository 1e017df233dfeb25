#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "data/source.h"

namespace vit22b {

/// Where a split's pictures and their partners (masks, depth maps) are, and how their names go
/// together.
struct PairedSplit {
  std::filesystem::path images, partners;
  std::string image_end = "", partner_end = "";  ///< of names, before their endings
  std::filesystem::path list = {};               ///< of names; all pictures where there is none
  bool has_arrays = false;  ///< a partner may be an .npy, which counts where there is a picture too
};

/// Splits by their names; those called `training` and `validation` are "train" and "val".
using PairedSplits = std::map<std::string, PairedSplit>;

/// images/SPLIT beside partners/SPLIT; the two as they are where there is no such split.
PairedSplits splits_beside(const std::filesystem::path& images,
                           const std::filesystem::path& partners);
/// ROOT/SPLIT/IMAGES beside ROOT/SPLIT/PARTNERS.
PairedSplits splits_above(const std::filesystem::path& root, const std::string& images,
                          const std::string& partners);

/// Pictures with a partner each, of equal places in both lists.
struct PicturePairs {
  std::vector<std::string> images, partners;

  int64_t size() const { return static_cast<int64_t>(images.size()); }
  std::string fingerprint() const;
  /// more  what else the samples are of
  SourceIdentity identity(const std::filesystem::path& root, const std::string& more) const;
};

/// Pairs of a split. Pictures without a partner are left out, and a warning counts and names them.
///
/// partner  what one is called: "mask"
/// throws   DataError where there is no pair, or the list names a picture that is not there
PicturePairs pair_pictures(const PairedSplit& split, const std::string& partner);

bool is_folder(const std::filesystem::path& path);
/// A text file's lines.
std::vector<std::string> lines_of_text(const std::filesystem::path& path);

}  // namespace vit22b
