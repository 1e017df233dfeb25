#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/error.h"
#include "dist/mesh.h"

namespace vit22b {

/// What started this process, and which of its ranks it is.
struct Launcher {
  std::string name;  ///< "torchrun", "OpenMPI", "PMI", "SLURM", or "" for none
  int64_t rank = 0, size = 1;
  int64_t local_rank = 0, local_size = 1;  ///< among the ranks of this host

  /// "OpenMPI: rank 2 of 4, 2 of 4 on this host", "none (one process)".
  std::string text() const;
};

/// Reads an environment variable; null when it is not set.
using Environment = std::function<const char*(const char*)>;

/// Looks for torchrun, OpenMPI, PMI and SLURM (a step of srun) in this order.
///
/// throws  UsageError for a variable that is no number, naming it
Launcher detect_launcher(const Environment& environment);
Launcher detect_launcher();

/// How a process joins the others of its run.
struct JoinOptions {
  MeshShape shape;
  double deadline_s = 600;
  Device device;  ///< of this rank
  RingOptions ring;
  int64_t threads = 0;  ///< of each rank; 0: the host's cores shared out
};

class StoreRendezvous;

/// A process's place among the ranks of a run, and its mesh. Ends with the others.
class Ranks {
 public:
  /// Joins over what detect_launcher finds: MPI for CPU ranks, NCCL for GPU ranks. Sets the log's
  /// rank prefix, and hides what ranks beyond the first would tell.
  ///
  /// throws  UsageError when the mesh does not fit the number of ranks, MPI is missing, or torchrun
  ///         starts CPU ranks
  explicit Ranks(const JoinOptions& options);
  ~Ranks();
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  const Mesh& mesh() const { return *mesh_; }
  /// Acts; tells the other ranks when that fails, so that they do not wait for this one.
  void guard(const std::function<void()>& act) const;

 private:
  std::unique_ptr<Mesh> join(const Launcher& launcher, MeshShape shape, const JoinOptions& options);

  std::shared_ptr<Transport> transport_;    ///< null where ranks meet over torchrun's store
  std::shared_ptr<StoreRendezvous> store_;  ///< that store, else null
  std::unique_ptr<Mesh> mesh_;
};

/// The device that a rank of this host uses where a run names "cuda": one GPU a rank.
std::string device_of_rank(const std::string& device);

/// Runs a command of this program as `count` ranks under mpirun on this host, and waits for them.
///
/// arguments  of the ranks, without the program's name
/// throws     UsageError when mpirun is not installed; else a UserError with the code that stands
///            for all ranks: 75 when they were stopped, 6 when one was lost, else the first failure
void run_under_mpirun(int64_t count, const std::vector<std::string>& arguments);

/// Leaves a rank's exit code where run_under_mpirun looks for it.
void report_end(const std::string& folder, int exit_code);

}  // namespace vit22b
