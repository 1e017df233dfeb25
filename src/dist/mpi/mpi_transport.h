#pragma once
#include <mpi.h>
#include <sys/types.h>

#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "dist/transport.h"

namespace vit22b {

/// CPU ranks over MPI. One thread makes every MPI call: it starts what others post, and polls with
/// a pause that grows to 100 microseconds, since MPI's own waits keep a core busy.
///
/// It also watches the other ranks: each sends a beat now and then, those of the same host are
/// looked up by process, and one that is silent for the deadline, gone, or has said that it leaves,
/// is lost. MPI itself tells nothing of that.
class MpiTransport : public Transport {
 public:
  /// throws  std::runtime_error when MPI cannot start
  explicit MpiTransport(double deadline_s);
  ~MpiTransport() override;

  int64_t rank() const override { return rank_; }
  int64_t size() const override { return size_; }
  RequestPtr send(int64_t to, int channel, const void* data, size_t bytes) override;
  RequestPtr recv(int64_t from, int channel, void* data, size_t bytes) override;
  void leave(const std::string& reason) override;
  bool is_heard(int64_t rank) const override;
  void when_lost(const std::function<void(const std::string&)>& tell) override;

 private:
  using Clock = Request::Clock;

  // What a caller has asked for and MPI does not know of yet.
  struct Posted {
    bool is_send = false;
    int64_t peer = 0;
    int channel = 0;
    void* data = nullptr;
    size_t bytes = 0;
    RequestPtr request;
  };
  // A caller's message inside MPI, perhaps in several pieces.
  struct Open {
    RequestPtr request;
    size_t pieces_left = 0;
    std::string failure = {};
  };
  struct Piece {
    std::shared_ptr<Open> open;
    bool is_send = false;
    size_t bytes = 0;
  };
  // Says that its sender lives, or that it leaves.
  struct Beat {
    int32_t is_leaving = 0;
    char reason[508] = {};
  };
  struct Peer {
    char host[64] = {};
    pid_t process = 0;
    bool is_in_sight = false;  ///< its process has its number here too
    Clock::time_point last_heard, gone_since;
    Beat received, sent;
    MPI_Request receiving = MPI_REQUEST_NULL, sending = MPI_REQUEST_NULL;
    std::string farewell;
  };

  RequestPtr post(Posted posted);
  void serve();
  void start_mpi();
  void meet_peers();
  void start_posted();
  bool end_finished();
  void end_piece(Piece& piece, const MPI_Status& status, bool has_errors);
  void end_all(const std::deque<Posted>& posted, const std::string& failure);
  void watch_peers();
  void hear(Peer& peer, int64_t number, Clock::time_point now);
  void watch_peer(int64_t number, Clock::time_point now);
  bool send_beat(Peer& peer, int64_t number, const Beat& beat);
  bool tell_farewell(const Beat& beat, std::vector<bool>& is_told);
  void lose(const std::string& failure);
  void say_farewell();
  void finish();
  void pause(bool is_busy);

  const double deadline_s_;
  int64_t rank_ = 0, size_ = 1;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Posted> posted_;
  bool is_started_ = false, is_stopping_ = false;
  std::string start_failure_, lost_, farewell_;
  std::function<void(const std::string&)> tell_;

  // The serving thread's own.
  std::vector<MPI_Request> active_;
  std::vector<Piece> active_pieces_;  ///< beside active_
  std::vector<int> finished_;
  std::vector<MPI_Status> statuses_;
  /// Pieces that MPI still had when a rank was lost: their memory stays, since a late message may
  /// be written there for as long as MPI is polled.
  std::vector<Piece> abandoned_;
  std::vector<Peer> peers_;
  Clock::time_point next_watch_;
  int idle_polls_ = 0;

  std::jthread server_;  // last: it uses all of the above
};

}  // namespace vit22b
