#pragma once
#include "dist/mesh.h"

namespace vit22b {

/// The first rank of a mesh whose other ranks are not there: shares and parts have the sizes of a
/// real mesh's, and nothing can be sent. For planning.
Mesh make_outline_mesh(MeshShape shape);

}  // namespace vit22b
