#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/fields.h"

namespace vit22b {

/// A head that says something of every patch: which, and of which blocks' outputs it is made.
struct DenseHeadConfig {
  std::string head = "linear";  ///< "linear", "bn_linear" or "upernet"
  std::string layers;           ///< blocks from 0 whose outputs it sees, "2,5,8,11"; "" for its own
  bool norm = true;             ///< outputs pass the model's final norm; else they are raw
  double dropout = 0;           ///< share of a picture's channels set to 0 before the last layer
  int64_t channels = 512;       ///< of upernet
  int64_t aux_channels = 256;   ///< of upernet's auxiliary head; 0 for none
  double aux_weight = 0.4;      ///< of its loss

  /// The options, as a config has them.
  void fields(FieldVisitor& visitor);
  /// throws  UsageError for a value out of range
  void check() const;
  /// The blocks, in order: of a model of `depth` blocks by default the last, or of upernet four,
  /// evenly spread.
  ///
  /// throws  UsageError for a block that is not there or stands behind a later one, or another
  /// count than upernet's four
  std::vector<int64_t> blocks(int64_t depth) const;
};

}  // namespace vit22b
