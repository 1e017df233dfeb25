#include "data/sources/depth_folder.h"

#include "core/error.h"
#include "data/sources/image_folder.h"
#include "data/sources/picture_pairs.h"
#include "data/splits.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

PairedSplits layout_of(const fs::path& root) {
  if (is_folder(root / "rgb") && is_folder(root / "depth"))
    return splits_beside(root / "rgb", root / "depth");
  return is_folder(root) ? splits_above(root, "rgb", "depth") : PairedSplits();
}

PairedSplits known_layout(const fs::path& root) {
  PairedSplits splits = layout_of(root);
  if (!splits.empty()) return splits;
  throw DataError(root.string(),
                  " has no pictures with depth maps; want rgb/ and depth/, each flat or with a "
                  "folder a split");
}

class DepthFolder : public DataSource {
 public:
  DepthFolder(const fs::path& root, const std::string& split) : root_(root) {
    const PairedSplits splits = known_layout(root);
    std::vector<std::string> known;
    for (const auto& [name, files] : splits) known.push_back(name);
    check_split(root.string(), split, known);
    pairs_ = pair_pictures(splits.at(split), "depth map");
  }

  int64_t size() const override { return pairs_.size(); }
  Sample read(int64_t index) const override {
    Sample sample;
    sample.id = id(index);
    sample.fields[kImageField].encoded = read_image_bytes(sample.id);
    sample.fields[kDepthField] = {
        FieldKind::kDepth, {}, read_image_bytes(pairs_.partners.at(static_cast<size_t>(index)))};
    return sample;
  }
  std::string id(int64_t index) const override {
    return pairs_.images.at(static_cast<size_t>(index));
  }
  int64_t label(int64_t) const override { return -1; }
  const std::vector<std::string>& label_names() const override { return names_; }
  std::string fingerprint() const override { return pairs_.fingerprint(); }
  SourceIdentity identity() const override { return pairs_.identity(root_, ""); }

 private:
  fs::path root_;
  PicturePairs pairs_;
  std::vector<std::string> names_;  ///< none
};

}  // namespace

std::unique_ptr<DataSource> open_depth_folder(const fs::path& root, const std::string& split,
                                              const SourceOptions&) {
  return std::make_unique<DepthFolder>(root, split);
}

bool is_depth_folder(const fs::path& root) {
  return !layout_of(root).empty();
}

std::vector<std::string> depth_folder_splits(const fs::path& root, const SourceOptions&) {
  std::vector<std::string> splits;
  for (const auto& [name, files] : known_layout(root)) splits.push_back(name);
  return splits;
}

}  // namespace vit22b
