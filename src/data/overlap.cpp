#include "data/overlap.h"

#include <optional>
#include <unordered_map>

#include "core/error.h"

namespace vit22b {
namespace {

/// content_hash of a source's sample; nothing for a bad one.
std::optional<std::string> hash_at(const DataSource& source, int64_t index, std::string& id) {
  try {
    const Sample sample = source.read(index);
    id = sample.id;
    return content_hash(sample);
  } catch (const UserError&) {
    return std::nullopt;
  }
}

}  // namespace

Overlap find_overlap(const DataSource& training, const DataSource& test) {
  std::unordered_map<std::string, int64_t> training_of_hash;
  std::string id;
  for (int64_t i = 0; i < training.size(); ++i)
    if (auto hash = hash_at(training, i, id)) training_of_hash.emplace(std::move(*hash), i);
  Overlap overlap;
  for (int64_t i = 0; i < test.size(); ++i) {
    const auto hash = hash_at(test, i, id);
    const auto same = hash ? training_of_hash.find(*hash) : training_of_hash.end();
    if (same == training_of_hash.end()) continue;
    if (overlap.count++ == 0) {
      overlap.test_id = id;
      hash_at(training, same->second, overlap.training_id);
    }
  }
  return overlap;
}

void check_overlap(const DataSource& training, const DataSource& test) {
  const Overlap overlap = find_overlap(training, test);
  if (overlap.count > 0)
    throw DataError(overlap.count, " of ", test.size(),
                    " test pictures are training pictures too, byte for byte, such as ",
                    overlap.test_id, " (", overlap.training_id, "); take them out of one");
}

}  // namespace vit22b
