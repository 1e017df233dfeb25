#pragma once

#include "model/config.h"
#include "report/block_diagram.h"

namespace vit22b {

/// A model as its block's spec has it, to be drawn.
BlockDiagram model_diagram(const ViTConfig& config);

}  // namespace vit22b
