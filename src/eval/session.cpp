#include "eval/session.h"

#include <ATen/ATen.h>
#include <pthread.h>

#include "core/error.h"

namespace vit22b {

Session::Session(LoadedModel model, int64_t room_bytes)
    : model_(std::move(model)), room_bytes_(room_bytes), owner_([this] { work(); }) {}

Session::~Session() {
  {
    const std::lock_guard lock(mutex_);
    is_ending_ = true;
  }
  asked_.notify_all();
  owner_.join();
}

std::future<at::Tensor> Session::ask(Question question, const std::string& key, Watch watch) {
  Waiting waiting{std::move(question), key, std::move(watch), {}};
  std::future<at::Tensor> answer = waiting.answer.get_future();
  {
    const std::lock_guard lock(mutex_);
    VIT22B_CHECK(!is_ending_, "Session: asked while it ends");
    queue_.push_back(std::move(waiting));
  }
  asked_.notify_one();
  return answer;
}

int64_t Session::kept_bytes() const {
  const std::lock_guard lock(mutex_);
  return kept_bytes_;
}

void Session::work() {
  pthread_setname_np(pthread_self(), "model");
  while (true) {
    std::list<Waiting> next;
    {
      std::unique_lock lock(mutex_);
      asked_.wait(lock, [&] { return is_ending_ || !queue_.empty(); });
      if (queue_.empty()) return;
      next.splice(next.begin(), queue_, queue_.begin());
    }
    Waiting& waiting = next.front();
    try {
      waiting.answer.set_value(answered(waiting));
    } catch (...) {
      waiting.answer.set_exception(std::current_exception());
    }
  }
}

at::Tensor Session::answered(const Waiting& waiting) {
  if (waiting.watch.should_stop()) throw Stopped("the question was taken back");
  at::Tensor answer;
  if (find_kept(waiting.key, answer)) return answer;
  answer = waiting.question(model_);
  if (!waiting.key.empty()) keep(waiting.key, answer);
  return answer;
}

bool Session::find_kept(const std::string& key, at::Tensor& answer) {
  const std::lock_guard lock(mutex_);
  const auto it = by_key_.find(key);
  if (key.empty() || it == by_key_.end()) return false;
  kept_.splice(kept_.begin(), kept_, it->second);
  answer = it->second->answer.clone();
  return true;
}

void Session::keep(const std::string& key, const at::Tensor& answer) {
  const auto bytes = static_cast<int64_t>(answer.nbytes());
  if (bytes > room_bytes_) return;
  const std::lock_guard lock(mutex_);
  kept_.push_front({key, answer.clone(at::MemoryFormat::Contiguous)});
  by_key_[key] = kept_.begin();
  kept_bytes_ += bytes;
  while (kept_bytes_ > room_bytes_) {
    kept_bytes_ -= static_cast<int64_t>(kept_.back().answer.nbytes());
    by_key_.erase(kept_.back().key);
    kept_.pop_back();
  }
}

}  // namespace vit22b
