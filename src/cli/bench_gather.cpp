#include "cli/bench_gather.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "core/trace.h"
#include "dist/mesh.h"
#include "dist/throttled.h"
#include "model/vit.h"
#include "store/generated.h"
#include "store/sharded.h"

namespace vit22b {

void time_gathers(int64_t procs, const std::shared_ptr<Transport>& plain, GatherTimes& times) {
  ViTConfig config = preset("s16");
  config.num_classes = 0;
  const std::vector<ParameterRow> table = parameter_table(config);
  const auto n = static_cast<double>(procs);
  constexpr double kBytesPerSecond = 200e6;
  const auto link = make_throttled(plain, {.bytes_per_second = kBytesPerSecond});
  const Mesh mesh = make_mesh(link, {procs, 1}, 60);
  GeneratedSource source(/*seed=*/0);
  ShardedStore store(table, source, c10::kCPU, mesh);
  const auto gathered = [&](const Unit& unit) {
    double bytes = 0;
    for (const ParameterRow& row : table)
      if (row.unit == unit && store.cut(row).data_dim >= 0)
        bytes += 4 * static_cast<double>(row.count());
    return bytes * (n - 1) / n / kBytesPerSecond;
  };
  double transfer = 0;
  std::vector<Unit> units = model_units(config);
  for (const Pass pass : {Pass::kForward, Pass::kBackward}) {
    bool is_first = true;
    for (const Unit& unit : units) {
      const double seconds = gathered(unit);
      store.acquire(unit, pass);
      if (!is_first) transfer += seconds;
      is_first = false;
      const TraceSpan span(TraceLane::kCompute, unit.name());
      std::this_thread::sleep_for(std::chrono::duration<double>(seconds / kTransferShare));
    }
    std::reverse(units.begin(), units.end());
    store.begin_update();
  }
  mesh.do_once([&] {
    times = {transfer, store.waiting().seconds - store.waiting().first_seconds};
  });
}

}  // namespace vit22b
