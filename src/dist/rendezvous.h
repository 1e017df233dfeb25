#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace vit22b {

/// What the ranks of a group tell each other over torchrun's store at MASTER_ADDR:MASTER_PORT,
/// where no transport joins them.
class StoreRendezvous {
 public:
  /// throws  UsageError without those variables; LostRank when nothing answers there by the
  /// deadline
  StoreRendezvous(int64_t rank, int64_t size, double deadline_s);
  ~StoreRendezvous();
  StoreRendezvous(const StoreRendezvous&) = delete;
  StoreRendezvous& operator=(const StoreRendezvous&) = delete;

  /// Gives every rank of a group a text that its first rank makes.
  std::string share(const std::string& key, bool is_first,
                    const std::function<std::string()>& make) const;
  /// Gives rank 0's text to all, who wait for it however long it takes. Every rank calls it.
  ///
  /// throws  LostRank when a rank has left
  std::string tell_all(const std::string& text);
  /// Tells the others that this rank ends before its time, and why.
  void leave(const std::string& reason) const;
  /// Which rank has left and why, "" while none has; looks a few times a second.
  std::string loss() const;

 private:
  struct Store;
  void watch();

  const int64_t rank_;
  int64_t num_told_ = 0;
  std::unique_ptr<Store> store_;
};

}  // namespace vit22b
