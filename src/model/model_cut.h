#pragma once
#include <cstdint>
#include <string>

#include "dist/mesh.h"
#include "model/config.h"

namespace vit22b {

/// throws  UsageError for a model that the model axis of a mesh cannot cut: of heads that it does
///         not divide, or with fewer hidden units or classes than ranks
void check_cut(const ViTConfig& config, const Mesh& mesh);

/// "1, 2, 4": what divides a number, up to 1,024.
std::string divisors_text(int64_t number);

}  // namespace vit22b
