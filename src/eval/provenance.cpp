#include "eval/provenance.h"

#include <nlohmann/json.hpp>

namespace vit22b {

nlohmann::ordered_json provenance_json(const Provenance& provenance) {
  return {{"checkpoint", provenance.checkpoint},
          {"step", provenance.step ? nlohmann::ordered_json(*provenance.step) : nullptr},
          {"source", provenance.source},
          {"split", provenance.split},
          {"fingerprint", provenance.fingerprint},
          {"command", provenance.command}};
}

}  // namespace vit22b
