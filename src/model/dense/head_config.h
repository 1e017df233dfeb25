#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/fields.h"

namespace vit22b {

/// A head that says something of every patch: which, and of which blocks' outputs it is made.
struct DenseHeadConfig {
  std::string head = "linear";  ///< "linear", "bn_linear", "upernet" or "dpt"
  std::string layers;           ///< blocks from 0 whose outputs it sees, "2,5,8,11"; "" for its own
  bool norm = true;             ///< outputs pass the model's final norm; else they are raw
  /// What the class token does: "ignore", "add" to each patch, or "project": it stands beside each
  /// patch.
  std::string readout = "ignore";
  double dropout = 0;          ///< share of a picture's channels set to 0 before the last layer
  int64_t channels = 0;        ///< of upernet and dpt; 0 for 512 and 256
  int64_t aux_channels = 256;  ///< of upernet's auxiliary head; 0 for none
  double aux_weight = 0.4;     ///< of its loss
  std::string level_channels;  ///< of dpt's four levels, "96,192,384,768"; "" for D/8, D/4, D/2, D
  int64_t last_channels = 32;  ///< of dpt's last layer but one
  std::string sizes = "double";  ///< of dpt's maps on their way up: "double" or "pixels"
  bool projection = false;  ///< dpt: a convolution and ReLU between its maps and its last layers

  /// The options, as a config has them.
  void fields(FieldVisitor& visitor);
  /// throws  UsageError for a value out of range
  void check() const;
  /// The blocks, in order: of a model of `depth` blocks by default the last, or of upernet and dpt
  /// four, evenly spread.
  ///
  /// throws  UsageError for a block that is not there or stands behind a later one, or another
  /// count than these heads' four
  std::vector<int64_t> blocks(int64_t depth) const;
  /// Whether blocks are four, one a level.
  bool has_levels() const { return head == "upernet" || head == "dpt"; }
  /// Whether its scores are of pixels or finer places already.
  bool is_of_pixels() const { return head == "dpt"; }
  /// Its channels, where there are such.
  int64_t width() const { return channels > 0 ? channels : head == "dpt" ? 256 : 512; }
  /// Channels of dpt's four levels, of a model of such a width.
  std::vector<int64_t> level_widths(int64_t model_width) const;
  /// Channels of a map that the head sees.
  int64_t map_width(int64_t model_width) const {
    return readout == "project" ? 2 * model_width : model_width;
  }
};

}  // namespace vit22b
