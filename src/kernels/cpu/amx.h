#pragma once
#include "kernels/cpu/tile.h"

/// Products of bfloat16 pairs on a CPU's matrix unit (Intel AMX), one core.
namespace vit22b::cpu {

/// Whether this CPU has AMX for bfloat16, the system lets this process use it, and small products
/// come out right; asked once.
bool has_matrix_unit();

/// tile_product of Arithmetic::kHalf whose A has its pairs next to each other (a_k_stride 1).
/// Leaves the unit's registers empty.
void matrix_unit_product(const TileProduct& product);

}  // namespace vit22b::cpu
