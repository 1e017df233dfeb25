#pragma once
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/container/pickle_bytes.h"

namespace vit22b {

enum class PickleKind {
  kNone,
  kBool,
  kInteger,
  kOther,  ///< a float, a whole number of more than 8 bytes
  kText,   ///< also bytes
  kGlobal,
  kTuple,
  kList,  ///< also a set
  kDict,
  kCall,
  kPersistent,
};

/// What a pickle has said of one object. Objects may hold each other, and themselves.
struct PickleObject {
  PickleKind kind = PickleKind::kNone;
  int64_t number = 0;  ///< of kBool and kInteger
  std::string text;    ///< of kText; of kGlobal "module.name"
  /// Of kTuple and kList; of kDict, and of a kCall that was given such, keys and values in turn.
  std::vector<const PickleObject*> items;
  const PickleObject* function = nullptr;   ///< of kCall: what would be called, or made one of
  const PickleObject* arguments = nullptr;  ///< of kCall; the id of kPersistent
  const PickleObject* state = nullptr;      ///< of kCall: what it would be set to

  /// "module.name" of the function or class of a kCall; else "".
  std::string_view callee() const;
  /// The value under a text in a kDict or a kCall; nullptr where there is none.
  const PickleObject* find(std::string_view key) const;
};

/// A Python pickle, of protocols 2 to 4, read without executing anything: a global is a name that
/// is never looked up, and a call an object that says what would have been called.
///
/// Pickles are hostile: at most 256 MiB and 2^22 objects; strings and the memo are as large as the
/// bytes that say them.
class Pickle {
 public:
  /// throws  CheckpointError for an unknown instruction, one without its operands, one cut short
  explicit Pickle(PickleBytes& bytes);

  const PickleObject& root() const { return *root_; }
  const std::deque<PickleObject>& objects() const { return objects_; }

 private:
  std::deque<PickleObject> objects_;  // a deque's elements stay where they are
  const PickleObject* root_;
};

}  // namespace vit22b
