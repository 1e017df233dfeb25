#include "model/initialise.h"

#include "core/rng.h"

namespace vit22b {
namespace {

constexpr double kRandomisedStddev =
    0.2;  // large enough that every term shows, small enough that logits stay finite

std::span<float> floats_of(at::Tensor& tensor) {
  return {tensor.data_ptr<float>(), static_cast<size_t>(tensor.numel())};
}

// Xavier's bound sqrt(6 / (fan_in + fan_out)), with fan_out the rows of the element's own section.
double xavier_bound(int64_t fan_in, int64_t section_rows) {
  return std::sqrt(6.0 / static_cast<double>(fan_in + section_rows));
}

void fill_xavier(const ParameterRow& row, const CounterRng& rng, int64_t first,
                 std::span<float> out) {
  const bool is_matrix = row.shape.size() == 2;
  const int64_t columns = row.shape.back(), last = first + static_cast<int64_t>(out.size());
  int64_t begin = 0;  // first row of the section
  for (const int64_t rows : row.sections) {
    // A [1, 1, D] token has fan_in 1 and fan_out D, as Flax counts them.
    const double bound = is_matrix ? xavier_bound(columns, rows) : xavier_bound(1, columns);
    const int64_t from = std::max(first, begin * columns);
    const int64_t to = std::min(last, (begin + rows) * columns);
    if (from < to)
      rng.fill_symmetric(
          out.subspan(static_cast<size_t>(from - first), static_cast<size_t>(to - from)),
          static_cast<uint64_t>(from), static_cast<float>(bound));
    begin += rows;
  }
}

}  // namespace

void fill_initial(const ParameterRow& row, uint64_t seed, int64_t first, std::span<float> out) {
  const CounterRng rng(seed, "init", row.name);
  const auto value = static_cast<float>(row.initialiser.value);
  switch (row.initialiser.kind) {
    case Initialiser::Kind::kConstant:
      std::fill(out.begin(), out.end(), value);
      break;
    case Initialiser::Kind::kNormal:
      rng.fill_normal(out, static_cast<uint64_t>(first));
      for (float& v : out) v *= value;
      break;
    case Initialiser::Kind::kXavierUniform:
      fill_xavier(row, rng, first, out);
      break;
    case Initialiser::Kind::kAroundOne:
      rng.fill_normal(out, static_cast<uint64_t>(first));
      for (float& v : out) v = 1 + v * value;
      break;
    case Initialiser::Kind::kSign:
      rng.fill_uniform(out, static_cast<uint64_t>(first));
      for (float& v : out) v = v < value ? 1.F : -1.F;
      break;
    case Initialiser::Kind::kUniform:
      rng.fill_symmetric(out, static_cast<uint64_t>(first), value);
      break;
  }
}

at::Tensor initial_values(const ParameterRow& row, uint64_t seed, int64_t first, int64_t count) {
  at::Tensor values = at::empty({count}, at::kFloat);
  fill_initial(row, seed, first, floats_of(values));
  return values;
}

at::Tensor initial_tensor(const ParameterRow& row, uint64_t seed) {
  return initial_values(row, seed, 0, row.count()).reshape(row.shape);
}

at::Tensor randomised_tensor(const ParameterRow& row, uint64_t seed) {
  at::Tensor values = at::empty({row.count()}, at::kFloat);
  CounterRng(seed, "randomise", row.name).fill_normal(floats_of(values), 0);
  double stddev = kRandomisedStddev;
  const bool is_product =
      row.group == ParameterGroup::kKernel || row.group == ParameterGroup::kAdapter;
  if (row.shape.size() >= 2 && is_product) {
    const int64_t fan_in = row.count() / row.shape[0];
    stddev = 1 / std::sqrt(static_cast<double>(fan_in));
  }
  values.mul_(stddev);
  if (row.group == ParameterGroup::kNorm) values.add_(1);
  if (row.group == ParameterGroup::kStatistic) values.abs_().add_(0.5);  // variances are above 0
  return values.reshape(row.shape);
}

}  // namespace vit22b
