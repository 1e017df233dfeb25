#include "core/error.h"
#include "model/dense/dense_head.h"

namespace vit22b {
namespace {

struct NamedHead {
  const char* name;
  std::unique_ptr<DenseHead> (*make)(const DenseHeadConfig& config, const DenseShape& shape);
};
// The one list of heads.
constexpr NamedHead kHeads[] = {{"linear", make_linear_head},
                                {"bn_linear", make_bn_linear_head},
                                {"upernet", make_upernet},
                                {"dpt", make_dpt_head}};

}  // namespace

std::unique_ptr<DenseHead> make_dense_head(const DenseHeadConfig& config, const DenseShape& shape) {
  config.check();
  for (const NamedHead& head : kHeads)
    if (config.head == head.name) return head.make(config, shape);
  throw UsageError("there is no head '", config.head, "'");
}

}  // namespace vit22b
