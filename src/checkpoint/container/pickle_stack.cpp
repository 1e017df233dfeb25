#include "checkpoint/container/pickle_stack.h"

#include "core/error.h"

namespace vit22b {
namespace {

constexpr size_t kMaxObjects = size_t{1} << 22;

}  // namespace

void PickleStack::fail(const std::string& what) const {
  throw CheckpointError(bytes_.place(), ": the pickle ", what, ", by byte ", bytes_.position());
}

PickleObject* PickleStack::make(PickleKind kind) {
  if (objects_.size() == kMaxObjects) fail("has more than 2^22 objects");
  PickleObject& made = objects_.emplace_back();
  made.kind = kind;
  return &made;
}

void PickleStack::push_number(PickleKind kind, int64_t value) {
  PickleObject* made = make(kind);
  made->number = value;
  push(made);
}

void PickleStack::push_text(PickleKind kind, std::string value) {
  PickleObject* made = make(kind);
  made->text = std::move(value);
  push(made);
}

PickleObject* PickleStack::top() const {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) fail("takes more than it has");
  return stack_.back();
}

PickleObject* PickleStack::pop() {
  PickleObject* taken = top();
  stack_.pop_back();
  return taken;
}

PickleStack::Items PickleStack::pop_to_mark() {
  if (marks_.empty()) fail("lacks a mark");
  const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  Items taken(first, stack_.end());
  stack_.erase(first, stack_.end());
  marks_.pop_back();
  return taken;
}

PickleObject* PickleStack::remembered(uint64_t index) const {
  const auto it = memo_.find(index);
  if (it == memo_.end()) fail(concat("has nothing remembered as ", index));
  return it->second;
}

}  // namespace vit22b
