#pragma once
#include <memory>

#include "model/engine.h"

namespace vit22b {

/// Plain ATen, the standard that the others are held to; runs on every device.
std::unique_ptr<Engine> make_reference_engine();

/// Own kernels: float32 arithmetic on activations stored in float32 or bfloat16, on the CPU.
std::unique_ptr<Engine> make_fused_engine();

}  // namespace vit22b
