#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "model/parameter_table.h"

namespace vit22b {

/// Makes a parameter's first values: a pure function of (seed, name, element), so any part of any
/// tensor alone.
///
/// first  row-major index of the element that becomes out[0]
void fill_initial(const ParameterRow& row, uint64_t seed, int64_t first, std::span<float> out);

/// The same as a tensor: [count] float32 on the CPU.
at::Tensor initial_values(const ParameterRow& row, uint64_t seed, int64_t first, int64_t count);

/// The whole parameter in its shape.
at::Tensor initial_tensor(const ParameterRow& row, uint64_t seed);

/// A parameter with every element drawn at random (norm scales around 1), for parity checks: fresh
/// initialisations hide swapped tensors.
at::Tensor randomised_tensor(const ParameterRow& row, uint64_t seed);

}  // namespace vit22b
