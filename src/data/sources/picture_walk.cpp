#include "data/sources/picture_walk.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <optional>

#include "core/error.h"
#include "core/letter_case.h"
#include "core/log.h"
#include "data/number_map.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr std::array kEndings = {".jpg", ".jpeg", ".jfif", ".png", ".webp",
                                 ".bmp", ".gif",  ".tif",  ".tiff"};
constexpr const char* kNoFile = "no regular file";

bool is_folder(const fs::directory_entry& entry) {
  std::error_code error;  // a link to itself is none
  return entry.is_directory(error);
}

bool is_file(const fs::directory_entry& entry) {
  std::error_code error;
  return entry.is_regular_file(error);
}

/// One walk: files by the folder that holds them.
class Walk {
 public:
  Walk(FoundPictures& found, const std::vector<std::string>& above) : found_(found) {
    for (const std::string& folder : above)
      if (const auto place = place_of(folder)) above_.push_back(*place);
  }

  void enter(const std::string& folder) {
    const auto place = place_of(folder);
    if (!place) return;  // it is gone
    if (std::find(above_.begin(), above_.end(), *place) != above_.end()) return;
    above_.push_back(*place);
    std::vector<std::string>& files = files_of_folder_[folder];
    std::vector<std::string> folders;
    for (const fs::directory_entry& entry : visible_entries(folder)) {
      const std::string name = entry.path().filename().string();
      if (is_folder(entry))
        folders.push_back(concat(folder, "/", name));
      else if (is_file(entry) && has_image_ending(name))
        files.push_back(concat(folder, "/", name));
      else
        ++found_.passed_over[is_file(entry) ? ending_of(name) : kNoFile];
    }
    for (const std::string& below : folders) enter(below);
    above_.pop_back();
  }

  void finish() {
    for (auto& [folder, files] : files_of_folder_) {
      std::sort(files.begin(), files.end());
      found_.files.insert(found_.files.end(), files.begin(), files.end());
    }
  }

 private:
  using Place = std::pair<dev_t, ino_t>;
  static std::optional<Place> place_of(const std::string& folder) {
    struct stat status {};
    if (::stat(folder.c_str(), &status) != 0) return std::nullopt;
    return Place{status.st_dev, status.st_ino};
  }

  FoundPictures& found_;
  std::vector<Place> above_;  // the folders that the walk is in
  std::map<std::string, std::vector<std::string>> files_of_folder_;
};

}  // namespace

std::vector<fs::directory_entry> visible_entries(const std::string& folder) {
  std::vector<fs::directory_entry> entries;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (!it->path().filename().string().starts_with(".")) entries.push_back(*it);
  if (error) throw DataError("cannot list ", folder, ": ", error.message());
  return entries;
}

void find_pictures(const std::string& folder, FoundPictures& found,
                   const std::vector<std::string>& above) {
  Walk walk(found, above);
  walk.enter(folder);
  walk.finish();
}

void find_arrays(const std::string& folder, std::vector<std::string>& files) {
  for (const fs::directory_entry& entry : visible_entries(folder)) {
    std::error_code error;
    if (entry.is_directory(error) && !entry.is_symlink(error))
      find_arrays(entry.path().string(), files);
    else if (entry.is_regular_file(error) && ending_of(entry.path()) == kArrayEnding)
      files.push_back(entry.path().string());
  }
}

std::vector<std::string> folder_names(const std::string& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : visible_entries(folder))
    if (is_folder(entry)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

bool has_own_pictures(const std::string& folder) {
  const std::vector<fs::directory_entry> entries = visible_entries(folder);
  return std::any_of(entries.begin(), entries.end(), [](const fs::directory_entry& entry) {
    return has_image_ending(entry.path()) && is_file(entry);
  });
}

void warn_of_passed_over(const std::string& place, const FoundPictures& found) {
  std::vector<std::string> counts;
  for (const auto& [ending, count] : found.passed_over)
    counts.push_back(concat(count, " ", ending.empty() ? "without an ending" : ending));
  if (!counts.empty())
    log_warn(concat(place, ": passed over files that are no pictures: ", join(counts, ", ")));
}

std::string ending_of(const fs::path& path) {
  return ascii_lower_case(path.extension().string());
}

bool has_image_ending(const fs::path& path) {
  return std::find(kEndings.begin(), kEndings.end(), ending_of(path)) != kEndings.end();
}

}  // namespace vit22b
