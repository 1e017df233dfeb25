#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace vit22b {

/// Gives every rank of a group a text that its first rank makes, over torchrun's store at
/// MASTER_ADDR:MASTER_PORT.
class StoreRendezvous {
 public:
  StoreRendezvous(int64_t rank, int64_t size, double deadline_s);
  ~StoreRendezvous();
  std::string share(const std::string& key, bool is_first,
                    const std::function<std::string()>& make) const;

 private:
  struct Store;
  std::unique_ptr<Store> store_;
};

}  // namespace vit22b
