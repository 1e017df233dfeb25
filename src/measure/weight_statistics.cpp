#include "measure/weight_statistics.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "metrics/spectral_norm.h"
#include "metrics/undefined.h"

namespace vit22b {
namespace {

bool is_matrix(const ParameterRow& row) {
  return row.group == ParameterGroup::kKernel && row.shape.size() == 2;
}

void add_parameter(const ParameterRow& row, const at::Tensor& values, BlockWeights& block) {
  ParameterStatistics& parameter = block.parameters.emplace_back();
  parameter.name = row.local_name;
  parameter.values.add(values);
  parameter.spectral_norm = is_matrix(row) ? metrics::spectral_norm(values) : metrics::kUndefined;
  if (!is_matrix(row)) return;
  block.matrices.add(parameter.values);
  // A NaN stays: nothing is larger.
  if (!std::isnan(block.spectral_norm))
    block.spectral_norm = std::isnan(parameter.spectral_norm)
                              ? metrics::kUndefined
                              : std::max(block.spectral_norm, parameter.spectral_norm);
}

}  // namespace

std::vector<BlockWeights> weight_statistics(const TensorReader& reader,
                                            const std::vector<ParameterRow>& table,
                                            const Watch& watch) {
  std::vector<BlockWeights> blocks;
  int64_t done = 0;
  for (const ParameterRow& row : table) {
    watch.on_progress(++done, std::ssize(table));
    if (row.unit.kind != UnitKind::kBlock) continue;
    if (watch.should_stop()) throw Stopped("stopped between parameters");
    const auto index = static_cast<size_t>(row.unit.index);
    if (blocks.size() <= index) blocks.resize(index + 1);
    add_parameter(row, reader.whole(row), blocks[index]);
    reader.release(row);
  }
  return blocks;
}

}  // namespace vit22b
