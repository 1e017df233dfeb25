#include "data/sources/picture_pairs.h"

#include <algorithm>

#include "core/checksum.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "data/delimited.h"
#include "data/file_identity.h"
#include "data/sources/image_folder.h"
#include "data/sources/picture_walk.h"
#include "data/splits.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

/// ADE20K's words for splits are the others' here.
std::string split_word(const std::string& folder) {
  if (folder == "training") return "train";
  return folder == "validation" ? "val" : folder;
}

/// A picture's name below its folder without the ending, as its partner's is.
std::string stem_below(const std::string& file, const fs::path& folder, const std::string& end) {
  std::string stem =
      fs::path(file.substr((folder / "").string().size())).replace_extension("").string();
  if (!end.empty() && stem.ends_with(end)) stem.resize(stem.size() - end.size());
  return stem;
}

std::vector<std::string> pictures_in(const fs::path& folder) {
  FoundPictures found;
  find_pictures(folder.string(), found);
  return found.files;
}

/// All pictures of a split, or those that its list names.
std::vector<std::string> images_of(const PairedSplit& split) {
  std::vector<std::string> images = pictures_in(split.images);
  if (split.list.empty()) return images;
  const std::vector<std::string> listed = lines_of_text(split.list);
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

void tell_alone(const std::vector<std::string>& alone, const PicturePairs& pairs,
                const PairedSplit& split, const std::string& partner) {
  constexpr size_t kMostNamed = 3;
  if (pairs.images.empty())
    throw DataError(split.images.string(), " has ", alone.size(), " pictures, ",
                    split.partners.string(), " a ", partner,
                    " for none of them; want NAME.png there for NAME.jpg");
  if (alone.empty()) return;
  const std::vector<std::string> named(
      alone.begin(),
      alone.begin() + static_cast<std::ptrdiff_t>(std::min(kMostNamed, alone.size())));
  log_warn(concat(alone.size(), " pictures have no ", partner, " in ", split.partners.string(),
                  " and are left out: ", join(named, ", "),
                  alone.size() > kMostNamed ? ", …" : ""));
}

}  // namespace

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

std::vector<std::string> lines_of_text(const fs::path& path) {
  const std::string text = read_text(path, ExitCode::kData);
  return lines_of(without_byte_order_mark(text));
}

PairedSplits splits_beside(const fs::path& images, const fs::path& partners) {
  PairedSplits splits;
  for (const std::string& split : folder_names(images.string()))
    if (is_folder(partners / split)) splits[split_word(split)] = {images / split, partners / split};
  if (splits.empty()) splits[kWholeSplit] = {images, partners};
  return splits;
}

PairedSplits splits_above(const fs::path& root, const std::string& images,
                          const std::string& partners) {
  PairedSplits splits;
  for (const std::string& split : folder_names(root.string()))
    if (is_folder(root / split / images) && is_folder(root / split / partners))
      splits[split_word(split)] = {root / split / images, root / split / partners};
  return splits;
}

std::string PicturePairs::fingerprint() const {
  std::vector<fs::path> paths;
  for (const std::vector<std::string>* files : {&images, &partners})
    for (const std::string& file : *files) paths.push_back(fs::absolute(file));
  return file_fingerprint(paths);
}

SourceIdentity PicturePairs::identity(const fs::path& root, const std::string& more) const {
  const size_t place = (root / "").string().size();
  std::vector<std::string> names, files;
  for (const std::vector<std::string>* some : {&images, &partners})
    for (const std::string& file : *some) {
      names.push_back(file.substr(place));
      files.push_back(file);
    }
  return identity_of_files(names, files, more);
}

PicturePairs pair_pictures(const PairedSplit& split, const std::string& partner) {
  std::map<std::string, std::string> partners;
  std::vector<std::string> files = pictures_in(split.partners);
  if (split.has_arrays) find_arrays(split.partners.string(), files);  // behind them
  for (const std::string& file : files) {
    const std::string stem = fs::path(file).stem().string();
    if (stem.ends_with(split.partner_end))
      partners[stem_below(file, split.partners, split.partner_end)] = file;
  }
  PicturePairs pairs;
  std::vector<std::string> alone;
  for (const std::string& image : images_of(split)) {
    const auto found = partners.find(stem_below(image, split.images, split.image_end));
    if (found == partners.end()) {
      alone.push_back(image);
      continue;
    }
    pairs.images.push_back(image);
    pairs.partners.push_back(found->second);
  }
  tell_alone(alone, pairs, split, partner);
  return pairs;
}

}  // namespace vit22b
