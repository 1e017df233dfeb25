#include "store/streamed.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>

#include "core/error.h"
#include "core/text.h"
#include "core/trace.h"

namespace vit22b {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kSmallShare = 8;  // units below 1/8 of the largest stay in memory
constexpr int64_t kAlignment = 64;  // of a tensor in a slot: a cache line

int64_t aligned(int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

StreamedStore::StreamedStore(const std::vector<ParameterRow>& table,
                             std::unique_ptr<WeightSource> source, at::ScalarType matrix_type,
                             c10::Device device, bool is_staged, int64_t cache_bytes)
    : source_(std::move(source)),
      matrix_type_(matrix_type),
      device_(device),
      is_staged_(is_staged) {
  for (const ParameterRow& row : table) {
    rows_[row.unit].push_back(row);
    largest_bytes_ = std::max(
        largest_bytes_, bytes_[row.unit] += aligned(
                            row.count() * static_cast<int64_t>(c10::elementSize(type_of(row)))));
  }
  for (const auto& [unit, rows] : rows_) {
    if (!is_small(unit)) {
      cache_bytes -= bytes_.at(unit);
      if (cache_bytes < 0) uncached_.insert(unit);
      continue;
    }
    const at::Tensor memory = at::empty({bytes_.at(unit)}, at::kByte);
    const std::shared_ptr<NamedTensors> tensors = place(unit, memory);
    for (const ParameterRow& row : rows) source_->read(row, tensors->at(row.local_name));
    resident_[unit] = device_.is_cpu() ? tensors : place(unit, memory.to(device_));
  }
  if (!source_->is_computing()) reader_ = std::thread([this] { run_reader(); });
}

StreamedStore::~StreamedStore() {
  {
    const std::lock_guard lock(mutex_);
    is_ending_ = true;
  }
  changed_.notify_all();
  if (reader_.joinable()) reader_.join();
}

bool StreamedStore::is_small(const Unit& unit) const {
  return bytes_.at(unit) < largest_bytes_ / kSmallShare;
}

// The next large unit of the pass, or null.
const Unit* StreamedStore::next_of(const Unit& unit, Pass pass) const {
  auto it = rows_.find(unit);
  while (it != rows_.end()) {
    if (pass == Pass::kBackward && it == rows_.begin()) return nullptr;
    pass == Pass::kForward ? ++it : --it;
    if (it != rows_.end() && !is_small(it->first)) return &it->first;
  }
  return nullptr;
}

const Unit& StreamedStore::first_large() const {
  return std::find_if(rows_.begin(), rows_.end(),
                      [this](const auto& unit) { return !is_small(unit.first); })
      ->first;
}

StreamedStore::Slot* StreamedStore::find(const Unit& unit) {
  const auto it = std::find_if(slots_.begin(), slots_.end(), [&](const Slot& slot) {
    return slot.tensors != nullptr && slot.unit == unit;
  });
  return it == slots_.end() ? nullptr : &*it;
}

// A slot that nobody reads from or into; one that has memory rather than a new one.
StreamedStore::Slot* StreamedStore::free_slot() {
  Slot* found = nullptr;
  for (Slot& slot : slots_) {
    const bool is_free =
        slot.tensors == nullptr || (slot.is_ready && slot.tensors.use_count() == 1);
    if (is_free && (found == nullptr || !found->memory.defined())) found = &slot;
  }
  return found;
}

std::shared_ptr<NamedTensors> StreamedStore::place(const Unit& unit,
                                                   const at::Tensor& memory) const {
  auto tensors = std::make_shared<NamedTensors>();
  int64_t offset = 0;
  for (const ParameterRow& row : rows_.at(unit)) {
    const int64_t bytes = row.count() * static_cast<int64_t>(c10::elementSize(type_of(row)));
    (*tensors)[row.local_name] = memory.narrow(0, offset, bytes).view(type_of(row)).view(row.shape);
    offset += aligned(bytes);
  }
  return tensors;
}

void StreamedStore::make_memory(Slot& slot) const {
  if (is_staged_) slot.stage = std::make_unique<StagedMemory>(device_, largest_bytes_);
  slot.memory = is_staged_ ? slot.stage->on_device() : at::empty({largest_bytes_}, at::kByte);
}

void StreamedStore::start(Slot& slot, const Unit& unit) {
  if (!slot.memory.defined()) make_memory(slot);
  if (slot.stage != nullptr) slot.stage->begin();
  slot.unit = unit;
  slot.tensors = place(unit, slot.memory);
  slot.read = slot.stage == nullptr ? slot.tensors : place(unit, slot.stage->host());
  slot.is_ready = false;
  slot.failure = nullptr;
}

// Whether next to nothing of the time is waiting for what is read.
bool StreamedStore::is_hidden() const {
  constexpr double kHidden = 0.05;
  const double seconds = std::chrono::duration<double>(Clock::now() - begin_).count();
  return traffic_.units > 1 && traffic_.waited_seconds < kHidden * seconds;
}

void StreamedStore::fill(Slot& slot, bool is_let_go) {
  const TraceSpan span(TraceLane::kTransfer, "reading " + slot.unit.name());
  try {
    if (slot.stage != nullptr) slot.stage->host_is_free();
    for (const ParameterRow& row : rows_.at(slot.unit))
      source_->read(row, slot.read->at(row.local_name));
    if (is_let_go)
      for (const ParameterRow& row : rows_.at(slot.unit)) source_->release(row);
    if (slot.stage != nullptr) slot.stage->copy();
  } catch (...) {
    slot.failure = std::current_exception();
  }
  slot.read = nullptr;  // leases alone count
}

void StreamedStore::run_reader() {
  pthread_setname_np(pthread_self(), "streamed store");
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return wanted_ != nullptr || is_ending_; });
    if (is_ending_) return;
    Slot& slot = *std::exchange(wanted_, nullptr);
    const bool is_let_go = uncached_.count(slot.unit) != 0 || is_hidden();
    lock.unlock();
    fill(slot, is_let_go);
    lock.lock();
    slot.is_ready = true;
    ++traffic_.units;
    traffic_.bytes += bytes_.at(slot.unit);
    changed_.notify_all();
  }
}

void StreamedStore::prefetch(const Unit& unit, Pass) {
  if (!reader_.joinable() || rows_.count(unit) == 0 || is_small(unit)) return;
  {
    const std::lock_guard lock(mutex_);
    if (wanted_ != nullptr || find(unit) != nullptr) return;
    Slot* const slot = free_slot();
    if (slot == nullptr) return;
    start(*slot, unit);
    wanted_ = slot;
  }
  changed_.notify_all();
}

UnitLease StreamedStore::acquire(const Unit& unit, Pass pass) {
  static const auto kNoWeights = std::make_shared<const NamedTensors>();
  if (rows_.count(unit) == 0) return UnitLease(kNoWeights);  // pooling by mean has none
  if (is_small(unit)) return UnitLease(resident_.at(unit));
  const auto begin = Clock::now();
  std::unique_lock lock(mutex_);
  if (begin_ == Clock::time_point()) begin_ = begin;
  Slot* slot = find(unit);
  const bool is_stalled = slot == nullptr || !slot->is_ready;
  if (slot == nullptr) {
    // What is being read on the guess that it comes next is let finish first.
    changed_.wait(lock, [&] {
      return wanted_ == nullptr && std::all_of(slots_.begin(), slots_.end(), [](const Slot& s) {
               return s.tensors == nullptr || s.is_ready;
             });
    });
    slot = free_slot();
    VIT22B_CHECK(slot != nullptr, "StreamedStore: leases of two units are held while ", unit.name(),
                 " is acquired");
    start(*slot, unit);
    if (reader_.joinable()) {
      wanted_ = slot;
      changed_.notify_all();
    } else {
      fill(*slot, /*is_let_go=*/false);
      slot->is_ready = true;
      ++traffic_.units;
      traffic_.bytes += bytes_.at(unit);
    }
  }
  changed_.wait(lock, [&] { return slot->is_ready; });
  if (is_stalled) ++traffic_.stalls;
  traffic_.waited_seconds += std::chrono::duration<double>(Clock::now() - begin).count();
  if (slot->failure != nullptr) {
    slot->tensors = nullptr;
    std::rethrow_exception(slot->failure);
  }
  if (slot->stage != nullptr) slot->stage->wait();
  UnitLease lease(slot->tensors);
  lock.unlock();
  if (pass == Pass::kForward && unit == first_large()) ++forward_passes_;
  const Unit* next = next_of(unit, pass);
  // Whoever has come back for a second pass is likely to want a third.
  if (next == nullptr && pass == Pass::kForward && forward_passes_ > 1) next = &first_large();
  if (next != nullptr) prefetch(*next, pass);
  return lease;
}

int64_t StreamedStore::slot_bytes() const {
  // Making weights is not overlapped: one slot is ever in use.
  return largest_bytes_ * (source_->is_computing() ? 1 : std::ssize(slots_));
}

int64_t StreamedStore::held_bytes() const {
  int64_t bytes = slot_bytes();
  for (const auto& [unit, of_unit] : bytes_)
    if (is_small(unit)) bytes += of_unit;
  return bytes;
}

StreamedStore::Traffic StreamedStore::traffic() const {
  const std::lock_guard lock(mutex_);
  return traffic_;
}

std::string StreamedStore::transfers_text() const {
  const Traffic traffic = this->traffic();
  return concat(traffic.units, " units read, ", human_bytes(static_cast<double>(traffic.bytes)),
                "; waited for ", traffic.stalls, " of them, ",
                std::llround(1e3 * traffic.waited_seconds), " ms in all");
}

}  // namespace vit22b
