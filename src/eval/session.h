#pragma once
#include <ATen/core/Tensor.h>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <future>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>

#include "core/watch.h"
#include "eval/load_predictor.h"

namespace vit22b {

/// A model that many ask and one thread owns: a predictor is of one thread at a time. Questions
/// wait in a queue, in order; answers that have a key are kept while there is room.
class Session {
 public:
  using Question = std::function<at::Tensor(LoadedModel& model)>;

  /// room_bytes  of the answers that are kept; the longest unasked go first
  Session(LoadedModel model, int64_t room_bytes);
  /// Answers what has been asked, then ends.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// What the owner answers, once its turn has come. Of any thread.
  ///
  /// key    of a question whose answer may be kept: equal keys have equal answers; "" for none
  /// watch  whose should_stop is asked when the turn comes; the question itself may ask it too
  /// get()  the answer, the asker's own; throws what the question throws; Stopped
  std::future<at::Tensor> ask(Question question, const std::string& key = "", Watch watch = {});

  /// What is known without asking.
  const ModelInfo& info() const { return model_.info; }
  /// Of the answers that are kept now.
  int64_t kept_bytes() const;

 private:
  struct Waiting {
    Question question;
    std::string key;
    Watch watch;
    std::promise<at::Tensor> answer;
  };
  struct Kept {
    std::string key;
    at::Tensor answer;
  };

  void work();
  at::Tensor answered(const Waiting& waiting);
  bool find_kept(const std::string& key, at::Tensor& answer);
  void keep(const std::string& key, const at::Tensor& answer);

  LoadedModel model_;
  int64_t room_bytes_;
  mutable std::mutex mutex_;
  std::condition_variable asked_;
  std::list<Waiting> queue_;
  std::list<Kept> kept_;  ///< the last asked first
  std::unordered_map<std::string, std::list<Kept>::iterator> by_key_;
  int64_t kept_bytes_ = 0;
  bool is_ending_ = false;
  std::thread owner_;
};

}  // namespace vit22b
