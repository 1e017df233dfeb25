#include "core/memory_limit.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/text.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

/// Where a version's groups of memory are mounted, and which group is at the mount's root.
struct GroupMount {
  fs::path place, root;
  const char* limit_file;
  bool is_second = false;
};

bool has_word(const std::string& list, const std::string& word) {
  const std::vector<std::string> words = split(list, ',');
  return std::find(words.begin(), words.end(), word) != words.end();
}

// "32 31 0:29 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory"
std::optional<GroupMount> group_mount(const std::string& line) {
  std::istringstream words(line);
  std::string word, root, place, type, source, options;
  words >> word >> word >> word >> root >> place;
  while (words >> word && word != "-") {
  }
  words >> type >> source >> options;
  if (type == "cgroup2") return GroupMount{place, root, "memory.max", true};
  if (type == "cgroup" && has_word(options, "memory"))
    return GroupMount{place, root, "memory.limit_in_bytes"};
  return std::nullopt;
}

// The process's group: of "0::/a/b" in the second version, of "4:memory:/a/b" in the first.
std::optional<std::string> group_of(const std::string& groups, bool is_second) {
  for (const std::string& line : split(groups, '\n')) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (is_second ? controllers.empty() : has_word(controllers, "memory"))
      return line.substr(second + 1);
  }
  return std::nullopt;
}

// A file that is not there, and "max", are no limit.
std::optional<int64_t> limit_in(const fs::path& file) {
  std::ifstream in(file);
  std::string text;
  in >> text;
  int64_t bytes = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  if (text.empty() || error != std::errc()) return std::nullopt;
  return bytes;
}

// A group's folder below its mount, whose root may be a group itself, as inside a container.
fs::path folder_of(const GroupMount& mount, const std::string& group) {
  const fs::path below = fs::path(group).lexically_relative(mount.root);
  const bool is_below = !below.empty() && *below.begin() != "..";
  return is_below ? (mount.place / below).lexically_normal() : mount.place;
}

}  // namespace

std::optional<int64_t> memory_limit_of_groups(const std::string& groups,
                                              const std::string& mounts) {
  std::optional<int64_t> least;
  for (const std::string& line : split(mounts, '\n')) {
    const std::optional<GroupMount> mount = group_mount(line);
    const auto group = mount ? group_of(groups, mount->is_second) : std::nullopt;
    if (!group) continue;
    fs::path folder = folder_of(*mount, *group);
    while (true) {
      if (const auto limit = limit_in(folder / mount->limit_file))
        least = std::min(least.value_or(*limit), *limit);
      if (folder == mount->place || folder == folder.parent_path()) break;
      folder = folder.parent_path();
    }
  }
  return least;
}

}  // namespace vit22b
