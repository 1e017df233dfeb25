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
#include "data/sources/picture_walk.h"
#include "data/splits.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

/// Where a split's pictures and masks are, and how their names go together.
struct SplitFiles {
  fs::path images, masks;
  std::string image_end = "", mask_end = "";  ///< of names, before their endings
  fs::path list = {};                         ///< of names; all pictures where there is none
};

/// How data sets lay out their folders: their splits, and what they call their classes.
struct Layout {
  std::map<std::string, SplitFiles> splits;
  std::vector<std::string> classes = {};
};

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

/// ADE20K's words for splits are the others' here.
std::string split_word(const std::string& folder) {
  if (folder == "training") return "train";
  return folder == "validation" ? "val" : folder;
}

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
    for (const std::string& split : folder_names(images.string()))
      if (is_folder(masks / split))
        layout.splits[split_word(split)] = {images / split, masks / split};
    if (layout.splits.empty()) layout.splits[kWholeSplit] = {images, masks};
    return layout;
  }
  return std::nullopt;
}

std::optional<Layout> below_splits(const fs::path& root) {
  Layout layout;
  for (const std::string& split : folder_names(root.string()))
    if (is_folder(root / split / "images") && is_folder(root / split / "masks"))
      layout.splits[split_word(split)] = {root / split / "images", root / split / "masks"};
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

std::vector<std::string> text_lines(const fs::path& path) {
  const std::string text = read_text(path, ExitCode::kData);
  return lines_of(without_byte_order_mark(text));
}

/// ROOT/classes.txt's lines, or the last column of ADE20K's list, or what the layout knows.
std::vector<std::string> class_names(const fs::path& root, const Layout& layout) {
  std::error_code error;
  std::vector<std::string> names = layout.classes;
  if (fs::exists(root / "classes.txt", error)) {
    names = text_lines(root / "classes.txt");
  } else if (fs::exists(root / "objectInfo150.txt", error)) {
    names.clear();
    for (const std::string& line : text_lines(root / "objectInfo150.txt"))
      names.push_back(line.substr(line.rfind('\t') + 1));
    if (!names.empty()) names.erase(names.begin());  // the header
  }
  for (const std::string& name : names) check_class_name(name, (root / "classes.txt").string());
  return names;
}

/// A picture's name below its folder without the ending, as its mask's is.
std::string stem_below(const std::string& file, const fs::path& folder, const std::string& end) {
  std::string stem =
      fs::path(file.substr((folder / "").string().size())).replace_extension("").string();
  if (!end.empty() && stem.ends_with(end)) stem.resize(stem.size() - end.size());
  return stem;
}

class MaskFolder : public DataSource {
 public:
  MaskFolder(const fs::path& root, const std::string& split) : root_(root) {
    const Layout layout = known_layout(root);
    std::vector<std::string> known;
    for (const auto& [name, files] : layout.splits) known.push_back(name);
    check_split(root.string(), split, known);
    names_ = class_names(root, layout);
    pair_up(layout.splits.at(split));
  }

  int64_t size() const override { return static_cast<int64_t>(images_.size()); }

  Sample read(int64_t index) const override {
    Sample sample;
    sample.id = id(index);
    sample.fields[kImageField].encoded = read_image_bytes(sample.id);
    sample.fields[kMaskField] = {
        FieldKind::kMask, {}, read_image_bytes(masks_.at(static_cast<size_t>(index)))};
    return sample;
  }

  std::string id(int64_t index) const override { return images_.at(static_cast<size_t>(index)); }
  int64_t label(int64_t) const override { return -1; }
  const std::vector<std::string>& label_names() const override { return names_; }

  std::string fingerprint() const override {
    std::vector<fs::path> paths;
    for (const std::vector<std::string>* files : {&images_, &masks_})
      for (const std::string& file : *files) paths.push_back(fs::absolute(file));
    return file_fingerprint(paths) + hash_of_text(join(names_, "/"));
  }

  SourceIdentity identity() const override {
    const size_t place = (root_ / "").string().size();
    std::vector<std::string> names, files;
    for (const std::vector<std::string>* some : {&images_, &masks_})
      for (const std::string& file : *some) {
        names.push_back(file.substr(place));
        files.push_back(file);
      }
    return identity_of_files(names, files, join(names_, "/"));
  }

 private:
  void pair_up(const SplitFiles& split) {
    std::map<std::string, std::string> masks;
    for (const std::string& file : pictures_in(split.masks)) {
      const std::string stem = fs::path(file).stem().string();
      if (stem.ends_with(split.mask_end))
        masks[stem_below(file, split.masks, split.mask_end)] = file;
    }
    std::vector<std::string> unmasked;
    for (const std::string& image : images_of(split)) {
      const auto mask = masks.find(stem_below(image, split.images, split.image_end));
      if (mask == masks.end()) {
        unmasked.push_back(image);
        continue;
      }
      images_.push_back(image);
      masks_.push_back(mask->second);
    }
    tell_unmasked(unmasked, split);
  }

  static std::vector<std::string> pictures_in(const fs::path& folder) {
    FoundPictures found;
    find_pictures(folder.string(), found);
    return found.files;
  }

  /// All pictures of a split, or those that its list names.
  static std::vector<std::string> images_of(const SplitFiles& split) {
    std::vector<std::string> images = pictures_in(split.images);
    if (split.list.empty()) return images;
    const std::vector<std::string> listed = text_lines(split.list);
    std::map<std::string, std::string> by_stem;
    for (const std::string& image : images) by_stem[stem_below(image, split.images, "")] = image;
    images.clear();
    for (const std::string& name : listed) {
      const auto image = by_stem.find(name);
      if (image == by_stem.end())
        throw DataError(split.list.string(), " names ", name, ", which is not in ",
                        split.images.string());
      images.push_back(image->second);
    }
    return images;
  }

  void tell_unmasked(const std::vector<std::string>& unmasked, const SplitFiles& split) const {
    constexpr size_t kMostNamed = 3;
    if (images_.empty())
      throw DataError(split.images.string(), " has ", unmasked.size(), " pictures, ",
                      split.masks.string(),
                      " a mask for none of them; want NAME.png there for NAME.jpg");
    if (unmasked.empty()) return;
    std::vector<std::string> named(
        unmasked.begin(),
        unmasked.begin() + static_cast<std::ptrdiff_t>(std::min(kMostNamed, unmasked.size())));
    log_warn(concat(unmasked.size(), " pictures have no mask in ", split.masks.string(),
                    " and are left out: ", join(named, ", "),
                    unmasked.size() > kMostNamed ? ", …" : ""));
  }

  fs::path root_;
  std::vector<std::string> images_, masks_, names_;
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
