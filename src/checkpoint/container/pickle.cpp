#include "checkpoint/container/pickle.h"

#include "checkpoint/container/pickle_stack.h"
#include "core/error.h"

namespace vit22b {
namespace {

constexpr size_t kPickleLimit = size_t{256} << 20;
constexpr size_t kNameLimit = 4096;
constexpr uint64_t kNewestProtocol = 5;  // its instructions beside BYTEARRAY8 are not read

// Instructions of Python's pickletools that are no printable characters.
enum Instruction : uint8_t {
  kProto = 0x80,
  kNewObject = 0x81,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kLong4 = 0x8b,
  kShortUnicode = 0x8c,
  kUnicode8 = 0x8d,
  kBytes8 = 0x8e,
  kEmptySet = 0x8f,
  kAddItems = 0x90,
  kFrozenSet = 0x91,
  kNewObjectEx = 0x92,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
  kByteArray8 = 0x96,
};

/// Runs a pickle's instructions; each of its functions knows those of one kind, and says whether it
/// was one.
class Machine {
 public:
  Machine(PickleBytes& bytes, std::deque<PickleObject>& objects)
      : bytes_(bytes), stack_(bytes, objects) {}

  PickleObject* run() {
    const size_t begin = bytes_.position();
    for (;;) {
      const auto instruction = static_cast<uint8_t>(bytes_.number(1));
      if (instruction == '.') return stack_.pop();
      if (!constant(instruction) && !text(instruction) && !collection(instruction) &&
          !addition(instruction) && !movement(instruction) && !call(instruction))
        stack_.fail(concat("has the unknown instruction ", static_cast<int>(instruction)));
      if (bytes_.position() - begin > kPickleLimit) stack_.fail("has more than 256 MiB");
    }
  }

 private:
  bool constant(uint8_t instruction) {
    switch (instruction) {
      case 'N':
        return push(PickleKind::kNone, 0);
      case kNewTrue:
        return push(PickleKind::kBool, 1);
      case kNewFalse:
        return push(PickleKind::kBool, 0);
      case 'J':
        return push(PickleKind::kInteger, static_cast<int32_t>(bytes_.number(4)));
      case 'K':
        return push(PickleKind::kInteger, static_cast<int64_t>(bytes_.number(1)));
      case 'M':
        return push(PickleKind::kInteger, static_cast<int64_t>(bytes_.number(2)));
      case kLong1:
        return push_long(bytes_.number(1));
      case kLong4:
        return push_long(bytes_.number(4));
      case 'G':
        bytes_.number(8);
        return push(PickleKind::kOther, 0);
      default:
        return false;
    }
  }
  bool push(PickleKind kind, int64_t value) {
    stack_.push_number(kind, value);
    return true;
  }
  /// Two's complement of any length.
  bool push_long(uint64_t size) {
    if (size == 0) return push(PickleKind::kInteger, 0);
    if (size > sizeof(int64_t)) {
      bytes_.text(size);
      return push(PickleKind::kOther, 0);
    }
    const uint64_t unused_bits = 64 - 8 * size, value = bytes_.number(size) << unused_bits;
    return push(PickleKind::kInteger, static_cast<int64_t>(value) >> unused_bits);
  }

  bool text(uint8_t instruction) {
    switch (instruction) {
      case 'U':
      case 'C':
      case kShortUnicode:
        return push_text(1);
      case 'T':
      case 'B':
      case 'X':
        return push_text(4);
      case kUnicode8:
      case kBytes8:
      case kByteArray8:
        return push_text(8);
      case 'c': {
        const std::string module = bytes_.line();
        return push_global(module, bytes_.line());
      }
      case kStackGlobal: {
        const PickleObject* name = stack_.pop();
        return push_global(stack_.pop()->text, name->text);
      }
      default:
        return false;
    }
  }
  bool push_text(size_t length_bytes) {
    stack_.push_text(PickleKind::kText, bytes_.text(bytes_.number(length_bytes)));
    return true;
  }
  bool push_global(const std::string& module, const std::string& name) {
    // A text that is remembered may be said again and again by two bytes.
    if (module.size() + name.size() > kNameLimit) stack_.fail("has a global of more than 4 KiB");
    stack_.push_text(PickleKind::kGlobal, concat(module, ".", name));
    return true;
  }

  bool collection(uint8_t instruction) {
    switch (instruction) {
      case ')':
        return push_items(PickleKind::kTuple, {});
      case ']':
      case kEmptySet:
        return push_items(PickleKind::kList, {});
      case '}':
        return push_items(PickleKind::kDict, {});
      case 't':
      case kFrozenSet:
        return push_items(PickleKind::kTuple, stack_.pop_to_mark());
      case 'l':
        return push_items(PickleKind::kList, stack_.pop_to_mark());
      case 'd':
        return push_items(PickleKind::kDict, stack_.pop_to_mark());
      case kTuple1:
      case kTuple2:
      case kTuple3:
        return push_tuple(static_cast<size_t>(instruction - kTuple1 + 1));
      default:
        return false;
    }
  }
  bool push_items(PickleKind kind, PickleStack::Items items) {
    if (kind == PickleKind::kDict) check_pairs(items);
    PickleObject* made = stack_.make(kind);
    made->items = std::move(items);
    stack_.push(made);
    return true;
  }
  bool push_tuple(size_t size) {
    PickleStack::Items items(size);
    for (size_t i = size; i-- > 0;) items[i] = stack_.pop();
    return push_items(PickleKind::kTuple, std::move(items));
  }
  void check_pairs(const PickleStack::Items& items) const {
    if (items.size() % 2 != 0) stack_.fail("has a key without a value");
  }

  bool addition(uint8_t instruction) {
    switch (instruction) {
      case 'a':
        return add_to_list({stack_.pop()});
      case 'e':
      case kAddItems:
        return add_to_list(stack_.pop_to_mark());
      case 's': {
        const PickleObject* value = stack_.pop();
        return add_to_dict({stack_.pop(), value});
      }
      case 'u':
        return add_to_dict(stack_.pop_to_mark());
      default:
        return false;
    }
  }
  bool add_to_list(const PickleStack::Items& items) {
    PickleObject* list = stack_.top();
    if (list->kind == PickleKind::kCall) return true;  // a class derived from list: not looked into
    if (list->kind != PickleKind::kList) stack_.fail("adds to what is no list");
    list->items.insert(list->items.end(), items.begin(), items.end());
    return true;
  }
  bool add_to_dict(const PickleStack::Items& items) {
    PickleObject* dict = stack_.top();
    if (dict->kind != PickleKind::kDict && dict->kind != PickleKind::kCall)
      stack_.fail("sets an item of what is no dict");
    check_pairs(items);
    dict->items.insert(dict->items.end(), items.begin(), items.end());
    return true;
  }

  bool movement(uint8_t instruction) {
    switch (instruction) {
      case '(':
        stack_.mark();
        return true;
      case '0':
        stack_.pop();
        return true;
      case '1':
        stack_.pop_to_mark();
        return true;
      case '2':
        stack_.push(stack_.top());
        return true;
      case 'q':
        stack_.remember(bytes_.number(1));
        return true;
      case 'r':
        stack_.remember(bytes_.number(4));
        return true;
      case kMemoize:
        stack_.remember_next();
        return true;
      case 'h':
        stack_.push(stack_.remembered(bytes_.number(1)));
        return true;
      case 'j':
        stack_.push(stack_.remembered(bytes_.number(4)));
        return true;
      case kFrame:
        bytes_.number(8);
        return true;
      case kProto:
        if (bytes_.number(1) > kNewestProtocol) stack_.fail("is of a protocol above 5");
        return true;
      default:
        return false;
    }
  }

  bool call(uint8_t instruction) {
    switch (instruction) {
      case kNewObjectEx:
        stack_.pop();
        return push_call();  // without its named arguments
      case 'R':
      case kNewObject:
        return push_call();
      case 'Q': {
        const PickleObject* id = stack_.pop();
        PickleObject* made = stack_.make(PickleKind::kPersistent);
        made->arguments = id;
        stack_.push(made);
        return true;
      }
      case 'b': {
        const PickleObject* state = stack_.pop();
        if (stack_.top()->kind == PickleKind::kCall) stack_.top()->state = state;
        return true;
      }
      default:
        return false;
    }
  }
  bool push_call() {
    const PickleObject* arguments = stack_.pop();
    const PickleObject* function = stack_.pop();
    PickleObject* made = stack_.make(PickleKind::kCall);
    made->function = function;
    made->arguments = arguments;
    stack_.push(made);
    return true;
  }

  PickleBytes& bytes_;
  PickleStack stack_;
};

}  // namespace

std::string_view PickleObject::callee() const {
  const bool is_named = function != nullptr && function->kind == PickleKind::kGlobal;
  return is_named ? std::string_view(function->text) : "";
}

const PickleObject* PickleObject::find(std::string_view key) const {
  if (kind != PickleKind::kDict && kind != PickleKind::kCall) return nullptr;
  for (size_t i = 0; i + 1 < items.size(); i += 2)
    if (items[i]->kind == PickleKind::kText && items[i]->text == key) return items[i + 1];
  return nullptr;
}

Pickle::Pickle(PickleBytes& bytes) : root_(Machine(bytes, objects_).run()) {}

}  // namespace vit22b
