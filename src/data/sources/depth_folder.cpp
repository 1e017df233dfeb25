#include "data/sources/depth_folder.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>

#include "core/error.h"
#include "core/log.h"
#include "data/number_map.h"
#include "data/sources/image_folder.h"
#include "data/sources/picture_pairs.h"
#include "data/sources/picture_walk.h"
#include "data/splits.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

PairedSplits layout_of(const fs::path& root) {
  PairedSplits splits;
  if (is_folder(root / "rgb") && is_folder(root / "depth"))
    splits = splits_beside(root / "rgb", root / "depth");
  else if (is_folder(root))
    splits = splits_above(root, "rgb", "depth");
  for (auto& [name, split] : splits) split.has_arrays = true;
  return splits;
}

/// Lists of pairs by the split that their names end with.
std::map<std::string, fs::path> pair_lists(const fs::path& root) {
  std::map<std::string, fs::path> lists;
  if (!is_folder(root)) return lists;
  for (const fs::directory_entry& entry : visible_entries(root.string()))
    for (const char* split : {"train", "val", "test"}) {
      const std::string stem = entry.path().stem().string();
      if (ending_of(entry.path()) != ".txt" ||
          (stem != split && !stem.ends_with(concat("_", split))))
        continue;
      if (!lists.emplace(split, entry.path()).second)
        throw DataError(root.string(), " has two lists of the split ", split, ": ",
                        lists.at(split).filename().string(), " and ",
                        entry.path().filename().string());
    }
  return lists;
}

/// A file of a list, in the first of these folders that has it.
std::string listed_file(const fs::path& root, std::string name,
                        std::initializer_list<const char*> folders) {
  const std::string whole = name;
  if (name.starts_with('/')) name.erase(0, 1);  // NYU's lists mean ROOT by it
  std::error_code error;
  for (const char* folder : folders)
    if (const fs::path file = root / folder / name; fs::is_regular_file(file, error))
      return file.string();
  return whole.starts_with('/') && fs::is_regular_file(whole, error) ? whole : "";
}

PicturePairs pairs_of_list(const fs::path& root, const fs::path& list) {
  PicturePairs pairs;
  std::vector<std::string> alone;
  int64_t number = 0;
  for (const std::string& line : lines_of_text(list)) {
    ++number;
    std::string spaced = line;
    std::replace(spaced.begin(), spaced.end(), '\t', ' ');
    std::vector<std::string> words = split(spaced, ' ');
    std::erase(words, "");
    if (words.empty()) continue;
    const std::string image = listed_file(root, words[0], {"", "input", "raw"});
    if (image.empty())
      throw DataError(list.string(), ":", number, ": there is no picture ", words[0], " in ",
                      root.string(), ", its input/ or raw/");
    const std::string map =
        words.size() > 1 ? listed_file(root, words[1],
                                       {"", "gt_depth", "data_depth_annotated",
                                        "data_depth_annotated/train", "data_depth_annotated/val"})
                         : "";
    if (map.empty()) {
      alone.push_back(words[0]);
      continue;
    }
    pairs.images.push_back(image);
    pairs.partners.push_back(map);
  }
  if (pairs.images.empty())
    throw DataError(list.string(),
                    " names no picture whose depth map is there; want lines of "
                    "IMAGE DEPTH, below ",
                    root.string());
  if (!alone.empty())
    log_warn(concat(alone.size(), " pictures of ", list.string(),
                    " have no depth map and are left out, the first is ", alone.front()));
  return pairs;
}

DataError no_layout(const fs::path& root) {
  return DataError(root.string(),
                   " has no pictures with depth maps; want rgb/ and depth/, each flat or with a "
                   "folder a split, or lists train.txt and val.txt of IMAGE DEPTH");
}

std::vector<std::string> known_splits(const fs::path& root) {
  std::vector<std::string> names;
  for (const auto& [name, files] : layout_of(root)) names.push_back(name);
  if (names.empty())
    for (const auto& [name, list] : pair_lists(root)) names.push_back(name);
  if (names.empty()) throw no_layout(root);
  return names;
}

class DepthFolder : public DataSource {
 public:
  DepthFolder(const fs::path& root, const std::string& split) : root_(root) {
    check_split(root.string(), split, known_splits(root));
    const PairedSplits splits = layout_of(root);
    pairs_ = splits.empty() ? pairs_of_list(root, pair_lists(root).at(split))
                            : pair_pictures(splits.at(split), "depth map");
  }

  int64_t size() const override { return pairs_.size(); }
  Sample read(int64_t index) const override {
    Sample sample;
    sample.id = id(index);
    sample.fields[kImageField].encoded = read_image_bytes(sample.id);
    const std::string& map = pairs_.partners.at(static_cast<size_t>(index));
    if (ending_of(map) == kArrayEnding) {
      const at::Tensor metres = read_number_map(map);
      const at::Tensor there = metres.isfinite().logical_and(metres.gt(0));
      sample.fields[kDepthField] = {FieldKind::kDepth,
                                    metres.masked_fill(there.logical_not(), 0).unsqueeze(2)};
    } else {
      sample.fields[kDepthField] = {FieldKind::kDepth, {}, read_image_bytes(map)};
    }
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
  return known_splits(root);
}

}  // namespace vit22b
