#include "data/sources/mask_folder.h"

#include <algorithm>
#include <map>
#include <optional>

#include "core/checksum.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "data/class_names.h"
#include "data/delimited.h"
#include "data/file_identity.h"
#include "data/sources/image_folder.h"
#include "data/sources/picture_pairs.h"
#include "data/sources/picture_walk.h"
#include "data/splits.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

/// How data sets lay out their folders: their splits, and what they call their classes.
struct Layout {
  std::map<std::string, PairedSplit> splits;
  std::vector<std::string> classes = {};
};

const std::vector<std::string>& voc_classes() {
  static const std::vector<std::string> kNames = {
      "background", "aeroplane", "bicycle",      "bird",  "boat",         "bottle", "bus",
      "car",        "cat",       "chair",        "cow",   "dining table", "dog",    "horse",
      "motorbike",  "person",    "potted plant", "sheep", "sofa",         "train",  "tv monitor"};
  return kNames;
}

const std::vector<std::string>& cityscapes_classes() {
  static const std::vector<std::string> kNames = {
      "road",         "sidewalk",   "building", "wall",       "fence",  "pole",  "traffic light",
      "traffic sign", "vegetation", "terrain",  "sky",        "person", "rider", "car",
      "truck",        "bus",        "train",    "motorcycle", "bicycle"};
  return kNames;
}

std::optional<Layout> side_by_side(const fs::path& root) {
  for (const char* name : {"masks", "annotations"}) {
    const fs::path images = root / "images", masks = root / name;
    if (!is_folder(images) || !is_folder(masks)) continue;
    Layout layout;
    layout.splits = splits_beside(images, masks);
    return layout;
  }
  return std::nullopt;
}

std::optional<Layout> below_splits(const fs::path& root) {
  Layout layout{splits_above(root, "images", "masks")};
  return layout.splits.empty() ? std::nullopt : std::optional(layout);
}

std::optional<Layout> pascal(const fs::path& root) {
  struct Kind {
    const char *masks, *lists;
  };
  for (const Kind& kind : {Kind{"SegmentationClass", "Segmentation"},
                           Kind{"SegmentationClassContext", "SegmentationContext"}}) {
    const fs::path masks = root / kind.masks, lists = root / "ImageSets" / kind.lists;
    if (!is_folder(root / "JPEGImages") || !is_folder(masks) || !is_folder(lists)) continue;
    Layout layout;
    for (const fs::directory_entry& entry : visible_entries(lists.string()))
      if (entry.path().extension() == ".txt")
        layout.splits[entry.path().stem().string()] = {root / "JPEGImages", masks, "", "",
                                                       entry.path()};
    if (kind.masks == std::string("SegmentationClass")) layout.classes = voc_classes();
    return layout;
  }
  return std::nullopt;
}

std::optional<Layout> cityscapes(const fs::path& root) {
  if (!is_folder(root / "leftImg8bit") || !is_folder(root / "gtFine")) return std::nullopt;
  Layout layout{{}, cityscapes_classes()};
  for (const std::string& split : folder_names((root / "leftImg8bit").string()))
    if (is_folder(root / "gtFine" / split))
      layout.splits[split] = {root / "leftImg8bit" / split, root / "gtFine" / split, "_leftImg8bit",
                              "_gtFine_labelTrainIds"};
  return layout;
}

// The one list of layouts; the first that a folder has counts.
constexpr std::optional<Layout> (*kLayouts[])(const fs::path&) = {side_by_side, pascal, cityscapes,
                                                                  below_splits};

std::optional<Layout> layout_of(const fs::path& root) {
  if (!is_folder(root)) return std::nullopt;
  for (const auto& layout : kLayouts)
    if (auto found = layout(root); found && !found->splits.empty()) return found;
  return std::nullopt;
}

Layout known_layout(const fs::path& root) {
  if (auto layout = layout_of(root)) return *layout;
  throw DataError(
      root.string(),
      " has no pictures with masks; want images/ and masks/, each flat or with a folder "
      "a split, or the folders of ADE20K, Pascal VOC or Cityscapes");
}

/// ROOT/classes.txt's lines, or the last column of ADE20K's list, or what the layout knows.
std::vector<std::string> class_names(const fs::path& root, const Layout& layout) {
  std::error_code error;
  std::vector<std::string> names = layout.classes;
  if (fs::exists(root / "classes.txt", error)) {
    names = lines_of_text(root / "classes.txt");
  } else if (fs::exists(root / "objectInfo150.txt", error)) {
    names.clear();
    for (const std::string& line : lines_of_text(root / "objectInfo150.txt"))
      names.push_back(line.substr(line.rfind('\t') + 1));
    if (!names.empty()) names.erase(names.begin());  // the header
  }
  for (const std::string& name : names) check_class_name(name, (root / "classes.txt").string());
  return names;
}

class MaskFolder : public DataSource {
 public:
  MaskFolder(const fs::path& root, const std::string& split) : root_(root) {
    const Layout layout = known_layout(root);
    std::vector<std::string> known;
    for (const auto& [name, files] : layout.splits) known.push_back(name);
    check_split(root.string(), split, known);
    names_ = class_names(root, layout);
    pairs_ = pair_pictures(layout.splits.at(split), "mask");
  }

  int64_t size() const override { return pairs_.size(); }

  Sample read(int64_t index) const override {
    Sample sample;
    sample.id = id(index);
    sample.fields[kImageField].encoded = read_image_bytes(sample.id);
    sample.fields[kMaskField] = {
        FieldKind::kMask, {}, read_image_bytes(pairs_.partners.at(static_cast<size_t>(index)))};
    return sample;
  }

  std::string id(int64_t index) const override {
    return pairs_.images.at(static_cast<size_t>(index));
  }
  int64_t label(int64_t) const override { return -1; }
  const std::vector<std::string>& label_names() const override { return names_; }

  std::string fingerprint() const override {
    return pairs_.fingerprint() + hash_of_text(join(names_, "/"));
  }
  SourceIdentity identity() const override { return pairs_.identity(root_, join(names_, "/")); }

 private:
  fs::path root_;
  PicturePairs pairs_;
  std::vector<std::string> names_;
};

}  // namespace

std::unique_ptr<DataSource> open_mask_folder(const fs::path& root, const std::string& split,
                                             const SourceOptions&) {
  return std::make_unique<MaskFolder>(root, split);
}

bool is_mask_folder(const fs::path& root) {
  return layout_of(root).has_value();
}

std::vector<std::string> mask_folder_splits(const fs::path& root, const SourceOptions&) {
  std::vector<std::string> splits;
  for (const auto& [name, files] : known_layout(root).splits) splits.push_back(name);
  return splits;
}

}  // namespace vit22b
