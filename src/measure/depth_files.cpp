#include "measure/depth_files.h"

#include <ATen/ATen.h>

#include "checkpoint/container/npy_header.h"
#include "core/error.h"
#include "data/decode.h"
#include "data/depth_values.h"
#include "data/sources/image_folder.h"
#include "data/sources/picture_walk.h"
#include "kernels/shape.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr const char* kArrayEnding = ".npy";

void find_arrays(const fs::path& folder, std::vector<std::string>& files) {
  for (const fs::directory_entry& entry : visible_entries(folder.string())) {
    std::error_code error;
    if (entry.is_directory(error) && !entry.is_symlink(error))
      find_arrays(entry.path(), files);
    else if (entry.is_regular_file(error) && ending_of(entry.path()) == kArrayEnding)
      files.push_back(entry.path().string());
  }
}

/// The sides of an array that has no more than two of more than one.
std::vector<int64_t> sides_of(const NpyHeader& header, const std::string& file) {
  std::vector<int64_t> sides = header.view.shape;
  while (sides.size() > 2 && sides.front() == 1) sides.erase(sides.begin());
  while (sides.size() > 2 && sides.back() == 1) sides.pop_back();
  const bool has_pixels = sides.size() == 2 && sides[0] > 0 && sides[1] > 0;
  if (!has_pixels || sides[0] > kMaxPixels / sides[1])
    throw DataError(file, " is an array of ", shape_text(header.view.shape),
                    ", want [height, width] of at most ", kMaxPixels, " pixels");
  return sides;
}

at::Tensor read_array(const std::string& file) {
  try {
    const std::unique_ptr<ByteStore> store = open_file_bytes(file, ExitCode::kData);
    const NpyHeader header = read_npy_header(*store, 0, store->size(), file);
    const std::vector<int64_t> sides = sides_of(header, file);
    const at::Tensor values = at::empty(sides, header.dtype);
    const std::span bytes(static_cast<std::byte*>(values.mutable_data_ptr()), values.nbytes());
    const bool is_plain = is_contiguous(header.view);
    const std::unique_ptr<ByteStore> turned =
        is_plain ? nullptr : strided_bytes(*store, header.view);
    const size_t read = is_plain ? store->read(header.view.begin, bytes) : turned->read(0, bytes);
    if (read < bytes.size()) throw DataError(file, " is cut short");
    return values.to(at::kFloat);
  } catch (const CheckpointError& e) {
    throw DataError(e.what());
  }
}

}  // namespace

std::map<std::string, std::string> depth_files(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error))
    throw DataError(folder.string(), " is no folder; want one of depth maps, .npy or .png");
  FoundPictures found;
  find_pictures(folder.string(), found);
  std::vector<std::string> files;
  for (const std::string& file : found.files)
    if (ending_of(file) == ".png") files.push_back(file);
  find_arrays(folder, files);  // behind the pictures, whose names they take
  std::map<std::string, std::string> by_name;
  const size_t place = (folder / "").string().size();
  for (const std::string& file : files)
    by_name[fs::path(file.substr(place)).replace_extension("").string()] = file;
  if (by_name.empty()) throw DataError(folder.string(), " has no depth maps: no .npy and no .png");
  return by_name;
}

at::Tensor read_depth(const std::string& file, double png_step) {
  if (ending_of(file) == kArrayEnding) return read_array(file);
  const std::vector<uint8_t> bytes = read_image_bytes(file);
  const at::Tensor values = decode_values(bytes, file).select(2, 0);
  check_depth_bits(bytes, file, ", or .npy");
  return (values.to(at::kDouble) * png_step).to(at::kFloat);
}

}  // namespace vit22b
