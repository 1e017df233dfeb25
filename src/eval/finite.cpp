#include "eval/finite.h"

#include "core/error.h"

namespace vit22b {

void check_finite(const at::Tensor& outputs, const std::string& tensor,
                  const std::vector<std::string>& ids) {
  // .item() waits for the device, whose outputs are about to be read in any case.
  const at::Tensor is_finite = outputs.isfinite();
  if (is_finite.all().item<bool>()) return;
  const int64_t row = is_finite.flatten(1).all(1).logical_not().nonzero()[0].item<int64_t>();
  throw NumbersError(ids.at(static_cast<size_t>(row)), ": the model's '", tensor,
                     "' is not finite; its weights are damaged, or the precision is too small for "
                     "them (--precision fp32)");
}

}  // namespace vit22b
