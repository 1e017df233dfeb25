#include "data/sources/image_folder.h"

#include <algorithm>
#include <set>

#include "core/checksum.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "data/class_names.h"
#include "data/file_identity.h"
#include "data/sources/picture_walk.h"
#include "data/splits.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr size_t kImageFileLimit = size_t{1} << 30;

bool has_pictures_below(const fs::path& folder) {
  FoundPictures found;
  find_pictures(folder.string(), found);
  return !found.files.empty();
}

/// ROOT/SPLIT, or ROOT where it has no splits.
fs::path folder_of_split(const fs::path& root, const std::string& split,
                         const SourceOptions& options) {
  const std::vector<std::string> splits = split_folders(root, options);
  check_split(root.string(), split,
              splits.empty() ? std::vector<std::string>{kWholeSplit} : splits);
  return splits.empty() ? root : root / split;
}

class ImageFolder : public DataSource {
 public:
  ImageFolder(const fs::path& root, const std::string& split, const SourceOptions& options)
      : folder_(folder_of_split(root, split, options)) {
    FoundPictures found;
    std::vector<std::string> empty;
    for (const std::string& name : folder_names(folder_.string())) {
      check_class_name(name, folder_.string());
      find_pictures((folder_ / name).string(), found, {root.string(), folder_.string()});
      if (found.files.size() == labels_.size()) empty.push_back(name);
      labels_.resize(found.files.size(), static_cast<int64_t>(names_.size()));
      names_.push_back(name);
    }
    files_ = std::move(found.files);
    warn_of_passed_over(folder_.string(), found);
    if (files_.empty())
      throw DataError("no images in ", folder_.string(), "; want CLASS/*", kImageEndings,
                      " below it");
    tell_empty(empty, options.allow_empty);
  }

  int64_t size() const override { return static_cast<int64_t>(files_.size()); }

  Sample read(int64_t index) const override {
    Sample sample;
    sample.id = id(index);
    sample.fields[kImageField].encoded = read_image_bytes(sample.id);
    sample.label = label(index);
    return sample;
  }

  std::string id(int64_t index) const override { return files_.at(static_cast<size_t>(index)); }
  int64_t label(int64_t index) const override { return labels_.at(static_cast<size_t>(index)); }
  const std::vector<std::string>& label_names() const override { return names_; }

  std::string fingerprint() const override {
    // The place is the real one: a link to a folder is the folder, and equal names elsewhere are
    // not.
    std::error_code error;
    const fs::path real = fs::canonical(folder_, error);
    std::vector<fs::path> paths;
    for (const std::string& file : files_)
      paths.push_back(error ? fs::path(file) : real / file.substr((folder_ / "").string().size()));
    return file_fingerprint(paths) + hash_of_text(classes_text());
  }

  SourceIdentity identity() const override {
    const size_t place = (folder_ / "").string().size();
    std::vector<std::string> names;
    names.reserve(files_.size());
    for (const std::string& file : files_) names.push_back(file.substr(place));
    return identity_of_files(names, files_, classes_text());
  }

 private:
  /// The classes' names, and every file's class.
  std::string classes_text() const {
    std::string classes;
    for (const std::string& name : names_) classes += name + "/";
    return classes + xxh3_128(std::as_bytes(std::span(labels_)));
  }

  void tell_empty(const std::vector<std::string>& empty, bool is_allowed) const {
    if (empty.empty()) return;
    const std::string text =
        concat(folder_.string(), ": no picture in the class folders ", join(empty, ", "));
    if (!is_allowed)
      throw DataError(text, "; remove them, or keep them as classes: data.allow_empty=true");
    log_warn(text);
  }

  fs::path folder_;
  std::vector<std::string> files_, names_;
  std::vector<int64_t> labels_;  // by file
};

}  // namespace

bool is_image_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

std::vector<std::string> split_folders(const fs::path& root, const SourceOptions& options) {
  std::vector<std::string> names = folder_names(root.string());
  if (options.split_folders == "no") return {};
  if (options.split_folders == "yes") return names;
  std::vector<std::string> splits, others;
  for (const std::string& name : names) (is_split_name(name) ? splits : others).push_back(name);
  if (splits.empty()) return splits;  // the usual class folders: not walked to tell that
  std::erase_if(others, [&](const std::string& name) { return !has_pictures_below(root / name); });
  if (others.empty()) return splits;
  const auto has_own = [&](const std::string& name) {
    return has_own_pictures((root / name).string());
  };
  if (std::all_of(splits.begin(), splits.end(), has_own)) return {};
  std::set<std::string> classes;
  for (const std::string& name : splits)
    for (const std::string& below : folder_names((root / name).string())) classes.insert(below);
  const auto has_their_classes = [&](const std::string& name) {
    const std::vector<std::string> below = folder_names((root / name).string());
    return !has_own(name) && std::any_of(below.begin(), below.end(), [&](const std::string& one) {
      return classes.count(one) != 0;
    });
  };
  if (std::none_of(splits.begin(), splits.end(), has_own) &&
      std::all_of(others.begin(), others.end(), has_their_classes)) {
    splits.insert(splits.end(), others.begin(), others.end());
    std::sort(splits.begin(), splits.end());
    return splits;
  }
  throw DataError(root.string(), " has folders called like splits (", join(splits, ", "),
                  ") beside others (", join(others, ", "),
                  "); say whether they are splits: --split-folders yes or no, "
                  "data.split_folders in a config");
}

std::vector<uint8_t> read_image_bytes(const fs::path& path) {
  std::vector<uint8_t> bytes = ReadableFile(path, ExitCode::kData).bytes(kImageFileLimit);
  if (bytes.empty()) throw DataError(path.string(), " is empty");
  return bytes;
}

std::unique_ptr<DataSource> open_image_folder(const fs::path& root, const std::string& split,
                                              const SourceOptions& options) {
  return std::make_unique<ImageFolder>(root, split, options);
}

}  // namespace vit22b
