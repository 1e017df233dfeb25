#include "core/signals.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <initializer_list>

namespace vit22b {
namespace {

constexpr unsigned kPatience_s = 25;  // of the 30 that are promised: a dying process takes its time
constexpr int64_t kSameRequest_ns = 200'000'000;

// Signal handlers may touch only this kind of global.
volatile std::sig_atomic_t caught_signal = 0;
std::atomic<int64_t> first_term_ns{0}, first_int_ns{0};
std::atomic<int> num_saving{0};
static_assert(std::atomic<int64_t>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// The process dies of the signal, so that its exit code is 128 + the signal's number.
void end_by(int signal) {
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

// Whether a person or a scheduler has asked before, and means it. Others than these come again by
// themselves: a closing terminal's HUP from the shell and from the system.
bool is_second(int signal, int64_t now) {
  if (signal != SIGTERM && signal != SIGINT) return false;
  int64_t first = 0;
  std::atomic<int64_t>& first_ns = signal == SIGTERM ? first_term_ns : first_int_ns;
  return !first_ns.compare_exchange_strong(first, now) && now - first > kSameRequest_ns;
}

void on_stop_signal(int signal) {
  if (is_second(signal, now_ns())) return end_by(signal);
  if (caught_signal == 0) ::alarm(kPatience_s);
  caught_signal = signal;
}

void on_alarm(int) {
  if (num_saving > 0) return;  // it sets the alarm anew when it has saved
  end_by(caught_signal);
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigaction(signal, &action, nullptr);
}

}  // namespace

void install_stop_signals() {
  handle(SIGALRM, on_alarm);
  for (const int signal : {SIGTERM, SIGUSR1, SIGUSR2, SIGINT}) handle(signal, on_stop_signal);
  struct sigaction hang_up {};
  sigaction(SIGHUP, nullptr, &hang_up);
  if (hang_up.sa_handler != SIG_IGN) handle(SIGHUP, on_stop_signal);
  std::signal(SIGPIPE, SIG_IGN);
}

int stop_signal() {
  return caught_signal;
}

const char* signal_name(int signal) {
  switch (signal) {
    case SIGTERM:
      return "SIGTERM";
    case SIGHUP:
      return "SIGHUP";
    case SIGUSR1:
      return "SIGUSR1";
    case SIGUSR2:
      return "SIGUSR2";
    case SIGINT:
      return "SIGINT";
    default:
      return "a signal";
  }
}

SavesFirst::SavesFirst() {
  ++num_saving;
}

SavesFirst::~SavesFirst() {
  if (--num_saving == 0 && caught_signal != 0) ::alarm(kPatience_s);
}

}  // namespace vit22b
