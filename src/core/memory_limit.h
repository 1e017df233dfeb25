#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace vit22b {

/// The least memory that control groups, of either version, leave a process: of its own group and
/// of those above it, as containers and batch systems set them.
///
/// groups   what /proc/PID/cgroup says
/// mounts   what /proc/PID/mountinfo says
/// returns  bytes; nothing where no group has a limit
std::optional<int64_t> memory_limit_of_groups(const std::string& groups, const std::string& mounts);

}  // namespace vit22b
