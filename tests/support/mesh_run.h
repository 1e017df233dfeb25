#pragma once
#include <filesystem>

#include "core/log.h"
#include "dist/threads.h"
#include "train/trainer.h"

namespace vit22b::test {

/// Trains quietly on a mesh whose ranks are threads of this process.
inline void train_on(MeshShape shape, const TrainConfig& config, const std::filesystem::path& out,
                     RingOptions ring = {}) {
  log_set_quiet(true);
  run_as_threads(shape.data * shape.model, [&](const std::shared_ptr<Transport>& transport) {
    Mesh mesh = make_mesh(transport, shape, /*deadline_s=*/120);
    mesh.ring = ring;
    FileOps ops(ExitCode::kCheckpoint);
    TrainOptions options;
    options.out = out;
    options.is_quiet = true;
    options.mesh = &mesh;
    train(config, options, ops);
  });
}

}  // namespace vit22b::test
