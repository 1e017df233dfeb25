#pragma once
#include <array>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "core/device.h"
#include "model/weight_store.h"
#include "store/staged_memory.h"
#include "store/weight_source.h"

namespace vit22b {

/// Weights that are read again in every pass: a large unit lies in one of two slots while it is
/// used, and the next one of the pass is read into the other by the store's own thread; at the end
/// of a forward pass that is not the store's first, the first of the pass that is likely to follow.
/// Small units stay in memory. What has been read is let go from the
/// system's cache where reading hides behind computing: filling a cache takes a processor that the
/// products want. Where reading is waited for, files stay in it, up to `cache_bytes`: of larger
/// ones the first part, since a cache that takes in all has lost the beginning when the next pass
/// begins. On a GPU a slot is read into pinned memory
/// and copied by a stream of its own. Of one process.
class StreamedStore : public WeightStore {
 public:
  /// matrix_type  for held_type
  /// is_staged    slots are filled through other memory, as a GPU's are; on the CPU for tests
  StreamedStore(const std::vector<ParameterRow>& table, std::unique_ptr<WeightSource> source,
                at::ScalarType matrix_type, c10::Device device, bool is_staged,
                int64_t cache_bytes = host_memory_bytes() / 2);
  StreamedStore(const std::vector<ParameterRow>& table, std::unique_ptr<WeightSource> source,
                at::ScalarType matrix_type, c10::Device device = c10::kCPU)
      : StreamedStore(table, std::move(source), matrix_type, device, !device.is_cpu()) {}
  ~StreamedStore() override;

  /// throws  what the source throws, where reading this unit failed
  UnitLease acquire(const Unit& unit, Pass pass) override;
  void prefetch(const Unit& unit, Pass pass) override;
  bool is_keeping() const override { return false; }

  /// Bytes of the slots and of the small units.
  int64_t held_bytes() const;

  /// Bytes of the slots, which a GPU's store has in pinned memory too.
  int64_t slot_bytes() const;

  /// What reading has cost.
  struct Traffic {
    int64_t units = 0, bytes = 0;  ///< read into slots
    int64_t stalls = 0;            ///< units that acquire had to wait for
    double waited_seconds = 0;     ///< in acquire
  };
  Traffic traffic() const;
  std::string transfers_text() const override;

 private:
  struct Slot {
    at::Tensor memory;                    ///< bytes, where units are used
    std::unique_ptr<StagedMemory> stage;  ///< what fills it; null where it is read into itself
    Unit unit;
    std::shared_ptr<NamedTensors> tensors;  ///< null where the slot holds no unit
    std::shared_ptr<NamedTensors> read;     ///< where the source writes: the same, or staged
    bool is_ready = false;
    std::exception_ptr failure;
  };

  bool is_small(const Unit& unit) const;
  const Unit* next_of(const Unit& unit, Pass pass) const;
  const Unit& first_large() const;
  Slot* find(const Unit& unit);
  Slot* free_slot();
  void start(Slot& slot, const Unit& unit);
  void fill(Slot& slot, bool is_let_go);
  bool is_hidden() const;
  std::shared_ptr<NamedTensors> place(const Unit& unit, const at::Tensor& memory) const;
  void make_memory(Slot& slot) const;
  at::ScalarType type_of(const ParameterRow& row) const { return held_type(row, matrix_type_); }
  void run_reader();

  std::unique_ptr<WeightSource> source_;
  const at::ScalarType matrix_type_;
  const c10::Device device_;
  const bool is_staged_;
  std::map<Unit, std::vector<ParameterRow>> rows_;
  std::map<Unit, int64_t> bytes_;
  std::set<Unit> uncached_;
  int64_t largest_bytes_ = 0;
  std::map<Unit, std::shared_ptr<const NamedTensors>> resident_;
  std::array<Slot, 2> slots_;
  Traffic traffic_;
  std::chrono::steady_clock::time_point begin_ = {};  ///< of the first acquire that waited

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Slot* wanted_ = nullptr;  ///< what the reader shall fill next
  bool is_ending_ = false;
  int64_t forward_passes_ = 0;  ///< begun
  std::thread reader_;
};

}  // namespace vit22b
