#include "core/http/part_map.h"

#include <algorithm>

namespace vit22b {
namespace {

constexpr char kMissing = '.', kTaken = '?', kDone = 'x';

}  // namespace

PartMap::PartMap(FileOps& ops, std::filesystem::path path, const std::string& identity,
                 int64_t parts)
    : ops_(ops), path_(std::move(path)), states_(static_cast<size_t>(parts), kMissing) {
  const std::string line = identity + "\n";
  first_ = line.size();
  is_resumed_ = read(line);
  if (is_resumed_) {
    descriptor_ = ops_.open_to_change(path_);
    return;
  }
  ops_.remove_all(path_);
  descriptor_ = ops_.create(path_);
  const std::string text = line + std::string(states_.begin(), states_.end());
  ops_.write_at(descriptor_, 0, std::as_bytes(std::span(text)), path_);
}

PartMap::~PartMap() {
  try {
    ops_.close(descriptor_, path_);
  } catch (const UserError&) {
    // What it says has been written before.
  }
}

bool PartMap::read(const std::string& line) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(std::filesystem::symlink_status(path_, error)))
    return false;
  if (std::filesystem::file_size(path_, error) != line.size() + states_.size()) return false;
  const std::string text = read_text(path_, ExitCode::kCheckpoint);
  if (!text.starts_with(line)) return false;
  std::copy(text.begin() + static_cast<std::ptrdiff_t>(line.size()), text.end(), states_.begin());
  std::replace_if(
      states_.begin(), states_.end(), [](char state) { return state != kDone; }, kMissing);
  return true;
}

int64_t PartMap::take() {
  const std::lock_guard lock(mutex_);
  const auto it = std::find(states_.begin(), states_.end(), kMissing);
  if (it == states_.end()) return -1;
  *it = kTaken;
  return it - states_.begin();
}

void PartMap::note_done(int64_t part) {
  const std::lock_guard lock(mutex_);
  states_[static_cast<size_t>(part)] = kDone;
  ops_.write_at(descriptor_, first_ + static_cast<size_t>(part),
                std::as_bytes(std::span(&kDone, 1)), path_);
}

int64_t PartMap::num_done() const {
  const std::lock_guard lock(mutex_);
  return std::count(states_.begin(), states_.end(), kDone);
}

}  // namespace vit22b
