#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dist/tensor_cut.h"
#include "model/config.h"
#include "model/unit.h"

namespace vit22b {

/// What kind of parameter a row is; optimizer rules choose by it. kStatistic is no weight but what
/// batches are like, such as a running mean: its "gradient" is how far it is from the batch's, and
/// a step goes a tenth of the way, whatever the optimizer, the rate and the clipping are.
enum class ParameterGroup {
  kHead,
  kKernel,
  kBias,
  kNorm,
  kPosition,
  kToken,
  kScale,
  kAdapter,
  kStatistic
};

/// "head", "kernel", "bias", "norm", "position", "token", "scale", "adapter", "statistic".
const char* group_name(ParameterGroup group);

/// How a parameter is made from random numbers.
struct Initialiser {
  enum class Kind { kConstant, kNormal, kXavierUniform, kUniform, kAroundOne, kSign };
  Kind kind = Kind::kConstant;
  double value = 0;  ///< the constant, a normal's standard deviation, the bound, or of kSign the
                     ///< probability of 1 against -1

  std::string text() const;
};

/// Where the model axis of the mesh cuts a parameter: rows go to the ranks section by section,
/// columns (the last dim) as the residual stream's features do.
enum class ModelCut { kNone, kRowsPerSection, kColumns };

/// One parameter: everything that initialisation, sharding, optimizers, checkpoints and `model
/// show` know of it.
struct ParameterRow {
  std::string name;        ///< timm's name on disk, such as "blocks.7.in_proj.weight"; that of an
                           ///< image tower which trains beside another has "image." before it
  std::string local_name;  ///< the name inside its unit, such as "in_proj.weight"
  std::vector<int64_t> shape;
  Initialiser initialiser;
  ParameterGroup group = ParameterGroup::kKernel;
  Unit unit;
  /// Row counts of the parts of a fused tensor, in order (in_proj: mlp, q, k, v); fans and model
  /// cuts go by section.
  std::vector<int64_t> sections;
  ModelCut model_cut = ModelCut::kNone;
  /// True where each rank of the model axis sees only its part of the gradient, such as the q and k
  /// norm scales.
  bool gradient_sum_over_model = false;

  int64_t count() const;
};

/// Every parameter once, in the order of the forward pass.
std::vector<ParameterRow> parameter_table(const ViTConfig& config);

/// What stands before timm's names in the table of two towers.
constexpr std::string_view kImagePrefix = "image.";

/// The rows of an image tower that trains beside the model: named "image." and timm's name.
std::vector<ParameterRow> image_tower_table(const ViTConfig& config);

/// What the names of a task's own rows begin with, which are in the unit kTask.
constexpr std::string_view kTaskPrefix = "task.";

/// A row of an image tower's own table, from that of two towers.
ParameterRow alone_in_its_tower(ParameterRow row);

/// How the model axis cuts a parameter; the data axis is its store's choice.
TensorCut tensor_cut(const ParameterRow& row);

/// Sums over a table that the published counts use.
struct ParameterCounts {
  int64_t block_matmul = 0;   ///< weight matrices of the blocks
  int64_t body = 0;           ///< embedding, blocks, final norm
  int64_t body_and_pool = 0;  ///< and the pooling head
  int64_t total = 0;          ///< and the classifier
};
ParameterCounts count_parameters(const std::vector<ParameterRow>& table);

}  // namespace vit22b
