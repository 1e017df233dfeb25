#include "cli/image_input.h"

#include <algorithm>
#include <filesystem>

#include "core/error.h"
#include "data/sources/image_folder.h"

namespace vit22b {

namespace fs = std::filesystem;

std::vector<std::string> expand_image_paths(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    if (!fs::exists(path)) throw DataError("image ", path, " does not exist");
    if (!fs::is_directory(path)) {
      files.push_back(path);
      continue;
    }
    std::vector<std::string> inside;
    for (const auto& entry : fs::directory_iterator(path))
      if (entry.is_regular_file() && has_image_ending(entry.path()))
        inside.push_back(entry.path().string());
    if (inside.empty())
      throw DataError("folder ", path, " holds no .jpg, .jpeg, .png or .webp file");
    std::sort(inside.begin(), inside.end());
    files.insert(files.end(), inside.begin(), inside.end());
  }
  return files;
}

at::Tensor load_image(const std::string& path, const Transforms& transforms) {
  Sample sample;
  sample.id = path;
  sample.encoded = read_image_bytes(path);
  transforms(sample, 0);
  return sample.fields.at("image").permute({2, 0, 1}).contiguous();
}

}  // namespace vit22b
