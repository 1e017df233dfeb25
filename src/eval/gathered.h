#pragma once
#include <nlohmann/json_fwd.hpp>

#include "dist/mesh.h"

namespace vit22b {

/// The lists of all ranks of the data axis, one after the other; every rank calls it.
nlohmann::json gathered(const nlohmann::json& own, const Mesh& mesh);

}  // namespace vit22b
