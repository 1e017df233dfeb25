#pragma once
#include <cstdint>
#include <string>

#include "dist/mesh.h"
#include "model/config.h"

namespace vit22b {

/// Refuses a block that the model axis of a mesh cannot cut: of heads that it does not divide, or
/// with fewer hidden units than ranks.
///
/// throws  UsageError naming both numbers, and what would do
void check_block_cut(const ViTConfig& config, const Mesh& mesh);

/// The same of a whole model: the MAP head's heads and the classes too.
void check_cut(const ViTConfig& config, const Mesh& mesh);

/// "1, 2, 4": what divides a number, up to 1,024.
std::string divisors_text(int64_t number);

}  // namespace vit22b
