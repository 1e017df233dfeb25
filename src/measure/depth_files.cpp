#include "measure/depth_files.h"

#include <ATen/ATen.h>

#include "core/error.h"
#include "data/decode.h"
#include "data/depth_values.h"
#include "data/number_map.h"
#include "data/sources/image_folder.h"
#include "data/sources/picture_walk.h"

namespace vit22b {

namespace fs = std::filesystem;

std::map<std::string, std::string> depth_files(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error))
    throw DataError(folder.string(), " is no folder; want one of depth maps, .npy or .png");
  FoundPictures found;
  find_pictures(folder.string(), found);
  std::vector<std::string> files;
  for (const std::string& file : found.files)
    if (ending_of(file) == ".png" && !file.ends_with(".colours.png")) files.push_back(file);
  find_arrays(folder.string(), files);  // behind the pictures, whose names they take
  std::map<std::string, std::string> by_name;
  const size_t place = (folder / "").string().size();
  for (const std::string& file : files)
    by_name[fs::path(file.substr(place)).replace_extension("").string()] = file;
  if (by_name.empty()) throw DataError(folder.string(), " has no depth maps: no .npy and no .png");
  return by_name;
}

at::Tensor read_depth(const std::string& file, double png_step) {
  if (ending_of(file) == kArrayEnding) return read_number_map(file);
  const std::vector<uint8_t> bytes = read_image_bytes(file);
  const at::Tensor values = decode_values(bytes, file).select(2, 0);
  check_depth_bits(bytes, file, ", or .npy");
  return (values.to(at::kDouble) * png_step).to(at::kFloat);
}

}  // namespace vit22b
