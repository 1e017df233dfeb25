#pragma once
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>

#include "core/error.h"

// What the fuzzers' targets share: an input as text, as several files, and as files in a folder.

namespace vit22b::fuzz {

inline std::string_view text_of(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// Stands between the files of an input that is several.
constexpr std::string_view kNextFile = "\n=====\n";

/// The files of an input; those that it has not are empty, the last has all that is left.
template <size_t kCount>
std::array<std::string_view, kCount> files_of(std::string_view input) {
  std::array<std::string_view, kCount> files;
  for (size_t i = 0; i + 1 < kCount; ++i) {
    const size_t end = input.find(kNextFile);
    files[i] = input.substr(0, end);
    if (end == std::string_view::npos) return files;
    input.remove_prefix(end + kNextFile.size());
  }
  files.back() = input;
  return files;
}

/// A folder of this process for the files that readers open, in memory where the system has that;
/// removed at the end.
class Folder {
 public:
  Folder() {
    std::error_code error;
    const bool has_memory = std::filesystem::is_directory("/dev/shm", error);
    std::string pattern =
        (has_memory ? std::filesystem::path("/dev/shm") : std::filesystem::temp_directory_path()) /
        "vit22b-fuzz-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~Folder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(const std::string& name, std::string_view bytes) const {
    const std::filesystem::path path = path_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }

 private:
  std::filesystem::path path_;
};

/// Reads an input; a UserError is a reader's answer, and whatever else is thrown ends the fuzzer.
inline int read(const std::function<void()>& reader) {
  try {
    reader();
  } catch (const UserError&) {
  }
  return 0;
}

}  // namespace vit22b::fuzz
