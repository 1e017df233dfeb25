#include "core/error.h"
#include "model/engine/engines.h"

namespace vit22b {

std::unique_ptr<Engine> make_engine(const std::string& name) {
  if (name == "reference") return make_reference_engine();
  if (name == "fused") return make_fused_engine();
  throw UsageError("engine '", name, "' is not built here; there are: fused, reference");
}

}  // namespace vit22b
