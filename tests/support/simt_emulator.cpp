#include "support/simt_emulator.h"

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <memory>

namespace vit22b::cuda {

Index3 threadIdx, blockIdx, blockDim, gridDim;

namespace {

constexpr size_t kStackBytes = 64 << 10;
constexpr size_t kLanes = 32;

// A thread of the block, for one block after the other. Only its first turn goes through
// ucontext.h, whose switches are system calls.
struct Fiber {
  ucontext_t first_turn{};
  jmp_buf turn{};
  std::unique_ptr<char[]> stack{new char[kStackBytes]};  // NOLINT: no zeroes wanted
  bool is_new = true, is_done = false;
  int barriers = 0, shuffles = 0;  // reached
  float shuffled[2] = {};          // by the parity of `shuffles`: a lane is one ahead at most
};

// The block that runs.
struct Block {
  std::vector<std::unique_ptr<Fiber>> fibers;
  size_t running = 0;
  jmp_buf scheduler{};
  std::vector<float> shared;
  const std::function<void()>* thread = nullptr;

  Fiber& self() { return *fibers[running]; }
};
Block block;

void yield() {
  if (_setjmp(block.self().turn) == 0) _longjmp(block.scheduler, 1);
}

void fiber_main() {
  while (true) {
    (*block.thread)();
    block.self().is_done = true;
    yield();
  }
}

void take_turn(Fiber& fiber) {
  if (_setjmp(block.scheduler) != 0) return;
  if (!fiber.is_new) _longjmp(fiber.turn, 1);
  fiber.is_new = false;
  getcontext(&fiber.first_turn);
  fiber.first_turn.uc_stack.ss_sp = fiber.stack.get();
  fiber.first_turn.uc_stack.ss_size = kStackBytes;
  makecontext(&fiber.first_turn, fiber_main, 0);
  setcontext(&fiber.first_turn);
}

// Fibers take turns until all are done; who waits gives its turn away.
void run_block(size_t threads) {
  bool is_any_left = true;
  while (is_any_left) {
    is_any_left = false;
    for (size_t i = 0; i < threads; ++i) {
      if (block.fibers[i]->is_done) continue;
      block.running = i;
      threadIdx = {static_cast<unsigned>(i), 0, 0};
      take_turn(block.self());
      is_any_left = is_any_left || !block.fibers[i]->is_done;
    }
  }
}

// Waits until the fibers [first, first + count) have reached as many as the running one, or ended.
void wait_for(int Fiber::*reached, size_t first, size_t count) {
  const int wanted = ++(block.self().*reached);
  const auto is_behind = [&](const std::unique_ptr<Fiber>& f) {
    return !f->is_done && (*f).*reached < wanted;
  };
  const auto begin = block.fibers.begin() + static_cast<std::ptrdiff_t>(first);
  do yield();
  while (std::any_of(begin, begin + static_cast<std::ptrdiff_t>(count), is_behind));
}

}  // namespace

void __syncthreads() {
  wait_for(&Fiber::barriers, 0, blockDim.x);
}

float __shfl_xor_sync(unsigned, float value, int mask) {
  const size_t lane = block.running % kLanes, warp = block.running - lane;
  Fiber& self = block.self();
  self.shuffled[(self.shuffles + 1) % 2] = value;
  wait_for(&Fiber::shuffles, warp, kLanes);
  return block.fibers[warp + (lane ^ static_cast<size_t>(mask))]->shuffled[self.shuffles % 2];
}

float* shared_floats() {
  return block.shared.data();
}

void emulate(int64_t blocks_x, int64_t blocks_y, int threads, int64_t shared_bytes,
             const std::function<void()>& thread) {
  const auto count = static_cast<size_t>(threads);
  if (count % kLanes != 0) throw std::logic_error("emulator: want whole warps");
  while (block.fibers.size() < count) block.fibers.push_back(std::make_unique<Fiber>());
  block.thread = &thread;
  blockDim = {static_cast<unsigned>(threads), 1, 1};
  gridDim = {static_cast<unsigned>(blocks_x), static_cast<unsigned>(blocks_y), 1};
  for (int64_t y = 0; y < blocks_y; ++y)
    for (int64_t x = 0; x < blocks_x; ++x) {
      // NaN: what a kernel reads of shared memory it has to write first.
      block.shared.assign(static_cast<size_t>(shared_bytes / 4), std::nanf(""));
      blockIdx = {static_cast<unsigned>(x), static_cast<unsigned>(y), 0};
      for (size_t i = 0; i < count; ++i) {
        Fiber& fiber = *block.fibers[i];
        fiber.is_done = false;
        fiber.barriers = fiber.shuffles = 0;
      }
      run_block(count);
    }
}

}  // namespace vit22b::cuda
