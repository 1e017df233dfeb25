#include "store/weight_source.h"

namespace vit22b {

at::Tensor read_part(WeightSource& source, const ParameterRow& row, const TensorCut& cut,
                     const MeshPlace& place, c10::Device device) {
  at::Tensor whole = at::empty(
      row.shape, at::TensorOptions(at::kFloat).device(device.is_meta() ? device : at::kCPU));
  source.read(row, whole);
  return part_of(whole, cut, place).to(device).contiguous();
}

}  // namespace vit22b
