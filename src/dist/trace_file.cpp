#include "dist/trace_file.h"

#include "core/trace.h"

namespace vit22b {

void save_trace(const std::filesystem::path& path, const Mesh& mesh) {
  const std::vector<std::string> events =
      mesh.gather_text(take_trace_events(mesh.along(MeshAxis::kAll).rank()), MeshAxis::kAll);
  mesh.do_once([&] {
    std::string all;
    for (const std::string& of_rank : events) all += (all.empty() ? "" : ",\n") + of_rank;
    write_trace(path, all);
  });
}

}  // namespace vit22b
