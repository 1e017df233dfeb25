#include "dist/mpi/mpi_transport.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "core/text.h"

namespace vit22b {
namespace {

constexpr int kBeatTag = 1000;                     // above every channel
constexpr size_t kLargestPiece = size_t{1} << 30;  // MPI counts in int
constexpr int kBusyPolls = 50;
constexpr auto kShortestPause = std::chrono::microseconds(5);
constexpr auto kLongestPause = std::chrono::microseconds(100);
constexpr int kLongWaitPolls = 2000;  // a third of a second
constexpr auto kPauseOfLongWaits = std::chrono::microseconds(1000);
// How long a rank that has left or gone may still be heard: what it sent before is on its way.
constexpr auto kGrace = std::chrono::milliseconds(300);
// How long a rank that leaves tries to say so: several of the others' looks.
constexpr auto kFarewellTime = std::chrono::seconds(1);

// What two ranks have alike that see each other's processes: names of hosts repeat among
// containers, whose processes have numbers of their own.
std::string sight() {
  std::ifstream boot("/proc/sys/kernel/random/boot_id");
  std::string machine;
  std::getline(boot, machine);
  char processes[64] = {};
  const ssize_t length = readlink("/proc/self/ns/pid", processes, sizeof processes - 1);
  return concat(machine, " ",
                std::string_view(processes, static_cast<size_t>(std::max<ssize_t>(0, length))));
}

// Whether a process is there and not merely waiting to be collected.
bool is_alive(pid_t process) {
  std::ifstream stat(concat("/proc/", process, "/stat"));
  std::string text;
  if (!std::getline(stat, text)) return false;
  const size_t name_end = text.rfind(')');
  return name_end == std::string::npos || name_end + 2 >= text.size() ||
         (text[name_end + 2] != 'Z' && text[name_end + 2] != 'X');
}

}  // namespace

MpiTransport::MpiTransport(double deadline_s)
    : deadline_s_(deadline_s), server_([this] { serve(); }) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return is_started_; });
  if (!start_failure_.empty()) throw std::runtime_error(start_failure_);
}

MpiTransport::~MpiTransport() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  changed_.notify_all();
}

RequestPtr MpiTransport::send(int64_t to, int channel, const void* data, size_t bytes) {
  // MPI's sends read only. NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast)
  return post({true, to, channel, const_cast<void*>(data), bytes, nullptr});
}

RequestPtr MpiTransport::recv(int64_t from, int channel, void* data, size_t bytes) {
  return post({false, from, channel, data, bytes, nullptr});
}

RequestPtr MpiTransport::post(Posted posted) {
  posted.request = std::make_shared<Request>();
  RequestPtr request = posted.request;
  std::string failure;
  {
    const std::lock_guard lock(mutex_);
    failure = lost_;
    if (failure.empty()) posted_.push_back(std::move(posted));
  }
  if (failure.empty())
    changed_.notify_all();
  else
    request->end(failure);
  return request;
}

void MpiTransport::leave(const std::string& reason) {
  std::unique_lock lock(mutex_);
  farewell_ = reason.empty() ? "no reason given" : reason;
  changed_.notify_all();
  // The server clears it when the others have been told.
  changed_.wait_for(lock, std::chrono::seconds(2), [this] { return farewell_.empty(); });
}

bool MpiTransport::is_heard(int64_t) const {
  const std::lock_guard lock(mutex_);
  return lost_.empty();
}

void MpiTransport::when_lost(const std::function<void(const std::string&)>& tell) {
  std::string lost;
  {
    const std::lock_guard lock(mutex_);
    tell_ = tell;
    lost = lost_;
  }
  if (!lost.empty()) tell(lost);
}

void MpiTransport::serve() {
  start_mpi();
  {
    const std::lock_guard lock(mutex_);
    is_started_ = true;
  }
  changed_.notify_all();
  if (!start_failure_.empty()) return;
  while (true) {
    start_posted();
    const bool is_busy = end_finished();
    watch_peers();
    say_farewell();
    {
      const std::lock_guard lock(mutex_);
      if (is_stopping_ && posted_.empty() && (active_.empty() || !lost_.empty())) break;
    }
    pause(is_busy);
  }
  finish();
}

void MpiTransport::start_mpi() {
  int provided = 0, rank = 0, size = 1;
  if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) {
    start_failure_ = "MPI_Init_thread failed";
    return;
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  rank_ = rank;
  size_ = size;
  meet_peers();
}

void MpiTransport::meet_peers() {
  struct Card {
    char host[64] = {};
    char sight[128] = {};
    int64_t process = 0;
  };
  Card own;
  gethostname(own.host, sizeof own.host - 1);
  std::strncpy(own.sight, sight().c_str(), sizeof own.sight - 1);
  own.process = getpid();
  std::vector<Card> all(static_cast<size_t>(size_));
  MPI_Allgather(&own, sizeof own, MPI_BYTE, all.data(), sizeof own, MPI_BYTE, MPI_COMM_WORLD);
  peers_ = std::vector<Peer>(static_cast<size_t>(size_));
  for (int64_t i = 0; i < size_; ++i) {
    Peer& peer = peers_[static_cast<size_t>(i)];
    std::memcpy(peer.host, all[static_cast<size_t>(i)].host, sizeof peer.host);
    peer.process = static_cast<pid_t>(all[static_cast<size_t>(i)].process);
    peer.is_in_sight = std::strcmp(all[static_cast<size_t>(i)].sight, own.sight) == 0;
    peer.last_heard = Clock::now();
    if (i != rank_)
      MPI_Irecv(&peer.received, sizeof peer.received, MPI_BYTE, static_cast<int>(i), kBeatTag,
                MPI_COMM_WORLD, &peer.receiving);
  }
}

void MpiTransport::start_posted() {
  std::deque<Posted> posted;
  {
    const std::lock_guard lock(mutex_);
    posted.swap(posted_);
  }
  for (const Posted& p : posted) {
    auto open = std::make_shared<Open>(Open{p.request});
    size_t first = 0;
    do {
      const size_t count = std::min(kLargestPiece, p.bytes - first);
      char* data = static_cast<char*>(p.data) + first;
      const int peer = static_cast<int>(p.peer), bytes = static_cast<int>(count);
      MPI_Request request = MPI_REQUEST_NULL;
      const int code =
          p.is_send ? MPI_Isend(data, bytes, MPI_BYTE, peer, p.channel, MPI_COMM_WORLD, &request)
                    : MPI_Irecv(data, bytes, MPI_BYTE, peer, p.channel, MPI_COMM_WORLD, &request);
      if (code != MPI_SUCCESS) {
        p.request->end(concat("MPI error ", code));
        break;
      }
      ++open->pieces_left;
      active_.push_back(request);
      active_pieces_.push_back({open, p.is_send, count});
      first += count;
    } while (first < p.bytes);
  }
}

bool MpiTransport::end_finished() {
  if (active_.empty()) return false;
  finished_.resize(active_.size());
  statuses_.resize(active_.size());
  int count = 0;
  const int code = MPI_Testsome(static_cast<int>(active_.size()), active_.data(), &count,
                                finished_.data(), statuses_.data());
  if (count == MPI_UNDEFINED || count == 0) return false;
  for (int i = 0; i < count; ++i) {
    const auto at = static_cast<size_t>(finished_[static_cast<size_t>(i)]);
    active_[at] = MPI_REQUEST_NULL;  // one that has failed may stay
    end_piece(active_pieces_[at], statuses_[static_cast<size_t>(i)], code == MPI_ERR_IN_STATUS);
  }
  size_t kept = 0;
  for (size_t i = 0; i < active_.size(); ++i) {
    if (active_[i] == MPI_REQUEST_NULL) continue;
    active_[kept] = active_[i];
    active_pieces_[kept++] = active_pieces_[i];
  }
  active_.resize(kept);
  active_pieces_.resize(kept);
  return true;
}

void MpiTransport::end_piece(Piece& piece, const MPI_Status& status, bool has_errors) {
  Open& open = *piece.open;
  int bytes = 0;
  if (has_errors && status.MPI_ERROR == MPI_ERR_TRUNCATE)
    open.failure = concat("a longer message met a receiver of ", piece.bytes, " bytes");
  else if (has_errors && status.MPI_ERROR != MPI_SUCCESS && status.MPI_ERROR != MPI_ERR_PENDING)
    open.failure = concat("MPI error ", status.MPI_ERROR);
  else if (!piece.is_send && MPI_Get_count(&status, MPI_BYTE, &bytes) == MPI_SUCCESS &&
           static_cast<size_t>(bytes) != piece.bytes)
    open.failure = concat("a message of ", bytes, " bytes met a receiver of ", piece.bytes);
  if (--open.pieces_left == 0) open.request->end(open.failure);
}

void MpiTransport::watch_peers() {
  const auto now = Clock::now();
  if (now < next_watch_) return;
  // Who has not run itself cannot say that others were silent (a stopped process, a sleeping host).
  if (std::chrono::duration<double>(now - next_watch_).count() > deadline_s_ / 2)
    for (Peer& peer : peers_) peer.last_heard = now;
  const double period_s = std::min(0.2, deadline_s_ / 10);
  next_watch_ =
      now + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(period_s));
  for (int64_t i = 0; i < size_; ++i)
    if (i != rank_) watch_peer(i, now);
}

// Takes all beats that have come: a peer may send them more often than this rank looks.
void MpiTransport::hear(Peer& peer, int64_t number, Clock::time_point now) {
  while (peer.receiving != MPI_REQUEST_NULL) {
    int is_received = 0;
    MPI_Test(&peer.receiving, &is_received, MPI_STATUS_IGNORE);
    if (is_received == 0) return;
    peer.last_heard = now;
    if (peer.received.is_leaving != 0) peer.farewell = peer.received.reason;
    MPI_Irecv(&peer.received, sizeof peer.received, MPI_BYTE, static_cast<int>(number), kBeatTag,
              MPI_COMM_WORLD, &peer.receiving);
  }
}

void MpiTransport::watch_peer(int64_t number, Clock::time_point now) {
  Peer& peer = peers_[static_cast<size_t>(number)];
  hear(peer, number, now);
  send_beat(peer, number, {});
  const bool is_gone = !peer.farewell.empty() || (peer.is_in_sight && !is_alive(peer.process));
  if (is_gone && peer.gone_since == Clock::time_point()) peer.gone_since = now;
  const std::string name =
      concat("rank ", number, " (process ", peer.process, " on ", peer.host, ")");
  if (is_gone && now - peer.gone_since > kGrace)
    lose(peer.farewell.empty() ? name + " is gone" : name + " has left: " + peer.farewell);
  else if (std::chrono::duration<double>(now - peer.last_heard).count() > deadline_s_)
    lose(concat(name, " has been silent for ", deadline_s_, " s"));
}

// False where the one before is still on its way.
bool MpiTransport::send_beat(Peer& peer, int64_t number, const Beat& beat) {
  int is_sent = 1;
  if (peer.sending != MPI_REQUEST_NULL) MPI_Test(&peer.sending, &is_sent, MPI_STATUS_IGNORE);
  if (is_sent == 0) return false;  // a rank that does not listen gets no more of them
  peer.sent = beat;
  MPI_Isend(&peer.sent, sizeof peer.sent, MPI_BYTE, static_cast<int>(number), kBeatTag,
            MPI_COMM_WORLD, &peer.sending);
  return true;
}

void MpiTransport::lose(const std::string& failure) {
  std::function<void(const std::string&)> tell;
  std::deque<Posted> posted;
  {
    const std::lock_guard lock(mutex_);
    if (!lost_.empty()) return;
    lost_ = failure;
    tell = tell_;
    posted.swap(posted_);
  }
  if (tell) tell(failure);
  end_all(posted, failure);
}

void MpiTransport::end_all(const std::deque<Posted>& posted, const std::string& failure) {
  for (const Posted& p : posted) p.request->end(failure);
  for (const Piece& piece : active_pieces_) {
    piece.open->request->end(failure);
    abandoned_.push_back(piece);
  }
  active_.clear();
  active_pieces_.clear();
}

// Whether all ranks that are there have it.
bool MpiTransport::tell_farewell(const Beat& beat, std::vector<bool>& is_told) {
  bool is_done = true;
  for (int64_t i = 0; i < size_; ++i) {
    Peer& peer = peers_[static_cast<size_t>(i)];
    if (i == rank_ || peer.gone_since != Clock::time_point()) continue;
    hear(peer, i, Clock::now());  // who leaves as well waits for this rank
    if (!is_told[static_cast<size_t>(i)])
      is_told[static_cast<size_t>(i)] = send_beat(peer, i, beat);
    int is_sent = 1;
    if (peer.sending != MPI_REQUEST_NULL) MPI_Test(&peer.sending, &is_sent, MPI_STATUS_IGNORE);
    if (is_sent == 0 || !is_told[static_cast<size_t>(i)]) is_done = false;
  }
  return is_done;
}

void MpiTransport::say_farewell() {
  Beat beat;
  {
    const std::lock_guard lock(mutex_);
    if (farewell_.empty()) return;
    beat.is_leaving = 1;
    std::strncpy(beat.reason, farewell_.c_str(), sizeof beat.reason - 1);
  }
  // The beat before may still be on its way; a send ends only while MPI is called.
  std::vector<bool> is_told(static_cast<size_t>(size_), false);
  const auto until = Clock::now() + kFarewellTime;
  while (!tell_farewell(beat, is_told) && Clock::now() < until)
    std::this_thread::sleep_for(kLongestPause);
  std::deque<Posted> posted;
  const std::string failure = concat("rank ", rank_, " is leaving");
  {
    const std::lock_guard lock(mutex_);
    farewell_.clear();
    if (lost_.empty()) lost_ = failure;
    posted.swap(posted_);
  }
  changed_.notify_all();
  end_all(posted, failure);  // what waits beside the one who leaves
}

// Ends MPI with the others, or, where one is lost, without: the system frees what is left.
void MpiTransport::finish() {
  {
    const std::lock_guard lock(mutex_);
    if (!lost_.empty()) return;
  }
  MPI_Request together = MPI_REQUEST_NULL;
  MPI_Ibarrier(MPI_COMM_WORLD, &together);
  for (int is_done = 0; is_done == 0; std::this_thread::sleep_for(kLongestPause)) {
    MPI_Test(&together, &is_done, MPI_STATUS_IGNORE);
    if (is_done == 0) watch_peers();
    const std::lock_guard lock(mutex_);
    if (!lost_.empty()) return;
  }
  for (Peer& peer : peers_)
    for (MPI_Request* request : {&peer.receiving, &peer.sending})
      if (*request != MPI_REQUEST_NULL) {
        MPI_Cancel(request);
        MPI_Request_free(request);
      }
  MPI_Finalize();
}

void MpiTransport::pause(bool is_busy) {
  idle_polls_ = is_busy ? 0 : idle_polls_ + 1;
  if (idle_polls_ < kBusyPolls && !active_.empty()) {
    sched_yield();
    return;
  }
  // A wait that has lasted long lasts on: a millisecond then is little of it.
  const auto longest = idle_polls_ < kLongWaitPolls ? kLongestPause : kPauseOfLongWaits;
  const int doublings = std::clamp((idle_polls_ - kBusyPolls) / 4, 0, 10);
  auto until = Clock::now() +
               std::min<std::chrono::microseconds>(kShortestPause * (1 << doublings), longest);
  // With nothing under way there is nothing to poll for.
  if (active_.empty()) until = next_watch_;
  std::unique_lock lock(mutex_);
  const bool is_called = changed_.wait_until(
      lock, until, [this] { return !posted_.empty() || !farewell_.empty() || is_stopping_; });
  if (is_called) idle_polls_ = 0;
}

}  // namespace vit22b

extern "C" __attribute__((visibility("default"))) vit22b::Transport* vit22b_join_transport_2(
    double deadline_s, std::string& failure) {
  try {
    return new vit22b::MpiTransport(deadline_s);  // NOLINT(cppcoreguidelines-owning-memory)
  } catch (const std::exception& error) {
    failure = error.what();
    return nullptr;
  }
}
