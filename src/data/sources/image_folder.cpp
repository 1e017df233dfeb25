#include "data/sources/image_folder.h"

#include <algorithm>
#include <cctype>

#include "core/checksum.h"
#include "core/error.h"
#include "core/file.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr size_t kImageFileLimit = size_t{1} << 30;

std::vector<fs::path> sorted_entries(const fs::path& folder, bool want_folders) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().filename().string().starts_with(".")) continue;
    if (want_folders ? entry.is_directory() : has_image_ending(entry.path()))
      entries.push_back(entry.path());
  }
  if (error) throw DataError("cannot list ", folder.string(), ": ", error.message());
  std::sort(entries.begin(), entries.end());
  return entries;
}

fs::path split_folder(const fs::path& root, const std::string& split) {
  if (fs::is_directory(root / split)) return root / split;
  for (const char* other : {"train", "val", "validation", "test"}) {
    if (fs::is_directory(root / other))
      throw DataError(root.string(), " has no folder '", split, "', though it has '", other, "'");
  }
  return root;
}

class ImageFolder : public DataSource {
 public:
  ImageFolder(const fs::path& root, const std::string& split) {
    const fs::path folder = split_folder(root, split);
    for (const fs::path& class_folder : sorted_entries(folder, /*want_folders=*/true)) {
      const auto label = static_cast<int64_t>(names_.size());
      names_.push_back(class_folder.filename().string());
      for (const fs::path& file : sorted_entries(class_folder, /*want_folders=*/false))
        files_.emplace_back(file, label);
    }
    if (files_.empty())
      throw DataError("no images in ", folder.string(),
                      "; want CLASS/*.jpg, .jpeg, .png or .webp below it");
  }

  int64_t size() const override { return static_cast<int64_t>(files_.size()); }

  Sample read(int64_t index) const override {
    const auto& [path, label] = files_.at(static_cast<size_t>(index));
    Sample sample;
    sample.encoded = read_image_bytes(path);
    sample.label = label;
    sample.id = path.string();
    return sample;
  }

  const std::vector<std::string>& label_names() const override { return names_; }
  std::string fingerprint() const override {
    std::vector<fs::path> paths;
    for (const auto& [path, label] : files_) paths.push_back(path);
    return file_fingerprint(paths);
  }

 private:
  std::vector<std::pair<fs::path, int64_t>> files_;
  std::vector<std::string> names_;
};

}  // namespace

bool has_image_ending(const fs::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return ending == ".jpg" || ending == ".jpeg" || ending == ".png" || ending == ".webp";
}

std::vector<uint8_t> read_image_bytes(const fs::path& path) {
  const std::string text = read_text(path, ExitCode::kData, kImageFileLimit);
  if (text.empty()) throw DataError(path.string(), " is empty");
  return {text.begin(), text.end()};
}

std::unique_ptr<DataSource> open_image_folder(const fs::path& root, const std::string& split) {
  return std::make_unique<ImageFolder>(root, split);
}

}  // namespace vit22b
