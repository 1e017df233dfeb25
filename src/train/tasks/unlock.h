#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/parameter_table.h"
#include "optim/rules.h"

namespace vit22b {

/// How much of a tower trains: "none", "all", or a number of last blocks with what stands above
/// them.
class Unlock {
 public:
  /// throws  UsageError naming the option for a text that is none of them
  Unlock(const std::string& text, const std::string& option);

  bool is_none() const { return num_blocks_ == 0; }
  /// Of a tower of `depth` blocks the first that trains; none: depth; all: -1, the embedding too.
  int64_t first_block(int64_t depth) const;
  /// The share of its blocks that train.
  double share(int64_t depth) const;
  /// Whether a unit of such a tower trains.
  bool trains(const Unit& unit, int64_t depth) const;

 private:
  int64_t num_blocks_ = 0;  ///< -1 for all of it
};

/// The number of a tower's blocks in a table.
int64_t depth_of(const std::vector<ParameterRow>& table, Tower tower);

}  // namespace vit22b
