#pragma once
#include <unordered_map>

#include "checkpoint/container/pickle.h"

namespace vit22b {

/// What a pickle's instructions work on: the objects made, a stack of them with marks, and a memo.
class PickleStack {
 public:
  using Items = std::vector<const PickleObject*>;

  /// objects  receives what is made
  PickleStack(const PickleBytes& bytes, std::deque<PickleObject>& objects)
      : bytes_(bytes), objects_(objects) {}

  /// throws  CheckpointError naming the file, what is wrong with its pickle, and where
  [[noreturn]] void fail(const std::string& what) const;

  /// throws  as fail, where there are as many objects as a pickle may have
  PickleObject* make(PickleKind kind);
  void push(PickleObject* object) { stack_.push_back(object); }
  void push_number(PickleKind kind, int64_t value);
  void push_text(PickleKind kind, std::string value);

  /// What lies below the last mark is not within reach. throws  as fail
  PickleObject* top() const;
  PickleObject* pop();
  void mark() { marks_.push_back(stack_.size()); }
  /// What lies above the last mark, which goes too. throws  as fail
  Items pop_to_mark();

  void remember(uint64_t index) { memo_[index] = top(); }
  void remember_next() { memo_[memo_.size()] = top(); }
  /// throws  as fail
  PickleObject* remembered(uint64_t index) const;

 private:
  const PickleBytes& bytes_;
  std::deque<PickleObject>& objects_;
  std::vector<PickleObject*> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, PickleObject*> memo_;
};

}  // namespace vit22b
