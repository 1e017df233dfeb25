#include "store/generated.h"

#include <ATen/Parallel.h>

#include "kernels/cpu/rows.h"
#include "model/initialise.h"

namespace vit22b {
namespace {

constexpr int64_t kValuesAtOnce = 4096;  // float32 of them stay in the first cache

}  // namespace

void GeneratedSource::read(const ParameterRow& row, at::Tensor& target) {
  const bool is_float = target.scalar_type() == at::kFloat;
  auto* floats = is_float ? target.mutable_data_ptr<float>() : nullptr;
  auto* halves = is_float ? nullptr : static_cast<uint16_t*>(target.mutable_data_ptr());
  const int64_t chunks = (row.count() + kValuesAtOnce - 1) / kValuesAtOnce;
  at::parallel_for(0, chunks, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> buffer(is_float ? 0 : kValuesAtOnce);
    for (int64_t first = begin * kValuesAtOnce; first < std::min(end * kValuesAtOnce, row.count());
         first += kValuesAtOnce) {
      const int64_t count = std::min(kValuesAtOnce, row.count() - first);
      float* const out = is_float ? floats + first : buffer.data();
      fill_initial(row, seed_, first, {out, static_cast<size_t>(count)});
      if (!is_float)
        cpu::store_rows({out, count, 1, count}, {halves + first, count, cpu::Storage::kBFloat16});
    }
  });
}

}  // namespace vit22b
