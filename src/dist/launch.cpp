#include "dist/launch.h"

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <optional>

#include "core/device.h"
#include "core/log.h"
#include "core/module.h"
#include "dist/nccl.h"
#include "dist/rendezvous.h"
#include "dist/transport.h"

namespace vit22b {
namespace {

constexpr const char* kModule = "libvit22b_mpi.so";

// The variables of one launcher; `mark` has to be there as well.
struct LauncherNames {
  const char *name, *mark, *rank, *size, *local_rank, *local_size;
};
constexpr LauncherNames kLaunchers[] = {
    {"torchrun", "LOCAL_WORLD_SIZE", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"},
    {"OpenMPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
     "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"},
    {"PMI", "PMI_RANK", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"},
    // The variables of a batch job without srun are there too: a step alone has ranks.
    {"SLURM", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID",
     "SLURM_NTASKS_PER_NODE"}};
constexpr const char* kTasksOfNodes = "SLURM_STEP_TASKS_PER_NODE";  // "4(x2),3": 4, 4 and 3
constexpr const char* kNode = "SLURM_NODEID";

int64_t number(const Environment& environment, const char* name, int64_t otherwise) {
  const char* text = environment(name);
  if (text == nullptr) return otherwise;
  char* end = nullptr;
  const long long value = std::strtoll(text, &end, 10);
  if (end == text || *end != '\0' || value < 0)
    throw UsageError("the environment variable ", name, " is '", text, "', want a number");
  return value;
}

// How many ranks of a step of srun this host has. The option --ntasks-per-node, whose variable a
// step has only where it was given, is not what the step has on each host.
std::optional<int64_t> tasks_of_node(const Environment& environment) {
  const char* text = environment(kTasksOfNodes);
  if (text == nullptr) return std::nullopt;
  int64_t node = number(environment, kNode, 0);
  for (const std::string& nodes : split(text, ',')) {
    long long tasks = 0, repeats = 1;
    if (std::sscanf(nodes.c_str(), "%lld(x%lld)", &tasks, &repeats) < 1 || tasks < 1 || repeats < 1)
      throw UsageError("the environment variable ", kTasksOfNodes, " is '", text,
                       "', want counts such as 4(x2),3");
    if (node < repeats) return tasks;
    node -= repeats;
  }
  return std::nullopt;
}

JoinTransport find_join() {
  std::string reason;
  if (void* join = module_symbol(kModule, kJoinTransportSymbol, ModuleScope::kProcess, reason);
      join != nullptr)
    return reinterpret_cast<JoinTransport>(join);
  throw UsageError("the ranks cannot join over MPI: ", reason,
                   "; install OpenMPI (Debian: libopenmpi-dev openmpi-bin) and build again, or "
                   "start one process without a launcher");
}

// Gives the ranks of an axis the id that the first of them makes.
using ShareId = std::function<std::string(MeshAxis axis, const std::string& key, bool is_first)>;

// What GPU ranks say to each other through their hosts.
struct HostChannel {
  ShareId share_id;
  std::function<std::string()> loss;  ///< as NcclOptions has it
  std::function<std::string(const std::string&)> tell_all;
};

std::unique_ptr<Mesh> gpu_mesh(const Launcher& launcher, MeshShape shape,
                               const JoinOptions& options, const HostChannel& host) {
  const int64_t data = launcher.rank / shape.model, model = launcher.rank % shape.model;
  const auto join = [&](MeshAxis axis, const std::string& key, int64_t rank, int64_t size) {
    if (size == 1) return make_self_communicator();
    return make_nccl(
        host.share_id(axis, key, rank == 0),
        {rank, size, at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(options.device.index)),
         options.deadline_s, host.loss});
  };
  auto along_data = join(MeshAxis::kData, concat("data.", model), data, shape.data);
  auto along_model = join(MeshAxis::kModel, concat("model.", data), model, shape.model);
  auto all = join(MeshAxis::kAll, "all", launcher.rank, launcher.size);
  auto mesh = std::make_unique<Mesh>(std::move(along_data), std::move(along_model), std::move(all));
  mesh->tell_all = host.tell_all;
  return mesh;
}

// The first loss that a transport tells of.
class LossNote {
 public:
  void set(const std::string& text) {
    const std::lock_guard lock(mutex_);
    if (text_.empty()) text_ = text;
  }
  std::string get() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  mutable std::mutex mutex_;
  std::string text_;
};

std::shared_ptr<Transport> join_mpi(const Launcher& launcher, double deadline_s) {
  std::string failure;
  std::shared_ptr<Transport> transport(find_join()(deadline_s, failure));
  if (transport == nullptr) throw UsageError("MPI cannot start: ", failure);
  if (transport->size() != launcher.size)
    throw UsageError(launcher.name, " says that there are ", launcher.size, " ranks, MPI joined ",
                     transport->size(),
                     "; start them with OpenMPI's own mpirun, or with srun --mpi=pmix");
  return transport;
}

}  // namespace

std::string Launcher::text() const {
  if (name.empty()) return "none (one process)";
  return concat(name, ": rank ", rank, " of ", size, ", ", local_rank, " of ", local_size,
                " on this host");
}

Launcher detect_launcher(const Environment& environment) {
  for (const LauncherNames& names : kLaunchers) {
    if (environment(names.mark) == nullptr || environment(names.rank) == nullptr) continue;
    Launcher found{names.name, number(environment, names.rank, 0),
                   number(environment, names.size, 1), number(environment, names.local_rank, 0),
                   number(environment, names.local_size, 1)};
    // srun starts ranks of PMI as well, and tells both how many.
    const bool is_of_srun =
        found.name == "SLURM" || (found.name == "PMI" && environment(names.local_size) == nullptr);
    if (is_of_srun) found.local_size = tasks_of_node(environment).value_or(found.local_size);
    if (found.size < 1 || found.rank >= found.size)
      throw UsageError(found.name, " says rank ", found.rank, " of ", found.size,
                       "; are its variables left from another run?");
    return found;
  }
  return {};
}

Launcher detect_launcher() {
  return detect_launcher([](const char* name) { return std::getenv(name); });
}

Ranks::Ranks(const JoinOptions& options) {
  const Launcher launcher = detect_launcher();
  const MeshShape shape = complete_mesh_shape(options.shape, launcher.size);
  if (launcher.size == 1) {
    mesh_ = std::make_unique<Mesh>();
    return;
  }
  log_set_prefix(concat("[rank ", launcher.rank, "] "));
  if (launcher.rank > 0) log_set_quiet(true);
  if (launcher.name == "torchrun" && !options.device.is_cuda())
    throw UsageError("torchrun starts GPU ranks; for ranks on CPUs use: mpirun -n ", launcher.size,
                     " vit22b train … mesh.data=", shape.data, " mesh.model=", shape.model);
  mesh_ = join(launcher, shape, options);
  mesh_->ring = options.ring;
  if (options.threads == 0)
    set_threads(std::max<int64_t>(1, at::get_num_threads() / launcher.local_size));
}

std::unique_ptr<Mesh> Ranks::join(const Launcher& launcher, MeshShape shape,
                                  const JoinOptions& options) {
  if (launcher.name == "torchrun") {
    store_ = std::make_shared<StoreRendezvous>(launcher.rank, launcher.size, options.deadline_s);
    return gpu_mesh(launcher, shape, options,
                    {[store = store_](MeshAxis, const std::string& key, bool is_first) {
                       return store->share(key, is_first, nccl_unique_id);
                     },
                     [store = store_] { return store->loss(); },
                     [store = store_](const std::string& text) { return store->tell_all(text); }});
  }
  // Silence is noticed before a wait gives up, since it names the rank that is lost.
  constexpr double kSilenceShare = 0.75;
  transport_ = join_mpi(launcher, kSilenceShare * options.deadline_s);
  const auto note = std::make_shared<LossNote>();
  transport_->when_lost([note](const std::string& text) {
    log_error(text);
    note->set(text);
  });
  const auto hosts = std::make_shared<Mesh>(make_mesh(transport_, shape, options.deadline_s));
  if (!options.device.is_cuda()) return std::make_unique<Mesh>(std::move(*hosts));
  return gpu_mesh(launcher, shape, options,
                  {[hosts](MeshAxis axis, const std::string&, bool is_first) {
                     return hosts->gather_text(is_first ? nccl_unique_id() : "", axis).front();
                   },
                   [note] { return note->get(); },
                   [hosts](const std::string& text) {
                     return hosts->along(MeshAxis::kAll).broadcast_text(text);
                   }});
}

std::string device_of_rank(const std::string& device) {
  const Launcher launcher = detect_launcher();
  return device == "cuda" && launcher.size > 1 ? concat("cuda:", launcher.local_rank) : device;
}

Ranks::~Ranks() = default;

void Ranks::guard(const std::function<void()>& act) const {
  try {
    act();
  } catch (const Stopped&) {
    throw;  // all ranks stop together
  } catch (const std::exception& failure) {
    if (transport_ != nullptr) transport_->leave(failure.what());
    if (store_ != nullptr) store_->leave(failure.what());
    throw;
  }
}

}  // namespace vit22b
