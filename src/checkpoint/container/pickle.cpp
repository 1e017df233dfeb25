#include "checkpoint/container/pickle.h"

#include <algorithm>

#include "checkpoint/container/pickle_stack.h"
#include "core/error.h"

namespace vit22b {
namespace {

constexpr size_t kPickleLimit = size_t{256} << 20;
constexpr size_t kNameLimit = 4096;
constexpr uint64_t kNewestProtocol = 5;

/// Runs a pickle's instructions.
class Machine {
 public:
  Machine(PickleBytes& bytes, std::deque<PickleObject>& objects)
      : bytes_(bytes), stack_(bytes, objects) {}

  PickleObject* run();

 private:
  /// What an instruction does, and of how many bytes its operand, or that operand's length, is.
  struct Instruction {
    uint8_t code = 0;
    void (Machine::*run)(size_t size) = nullptr;
    size_t size = 0;
  };
  static const Instruction kInstructions[];
  static constexpr uint8_t kStop = '.';

  void none(size_t) { stack_.push_number(PickleKind::kNone, 0); }
  void truth(size_t value) { stack_.push_number(PickleKind::kBool, static_cast<int64_t>(value)); }
  void unsigned_number(size_t size) { push_integer(bytes_.number(size)); }
  void signed_number(size_t size) {
    const uint64_t unused_bits = 64 - 8 * size, value = bytes_.number(size) << unused_bits;
    push_integer(static_cast<uint64_t>(static_cast<int64_t>(value) >> unused_bits));
  }
  void push_integer(uint64_t value) {
    stack_.push_number(PickleKind::kInteger, static_cast<int64_t>(value));
  }
  /// Two's complement of any length.
  void long_number(size_t length_size) {
    const uint64_t size = bytes_.number(length_size);
    if (size == 0) return push_integer(0);
    if (size <= sizeof(int64_t)) return signed_number(size);
    other(size);
  }
  void other(size_t size) {
    bytes_.text(size);
    stack_.push_number(PickleKind::kOther, 0);
  }

  void text(size_t length_size) {
    stack_.push_text(PickleKind::kText, bytes_.text(bytes_.number(length_size)));
  }
  void global(size_t) {
    const std::string module = bytes_.line();
    push_global(module, bytes_.line());
  }
  void stack_global(size_t) {
    const PickleObject* name = stack_.pop();
    push_global(stack_.pop()->text, name->text);
  }
  void push_global(const std::string& module, const std::string& name) {
    // A text that is remembered may be said again and again by two bytes.
    if (module.size() + name.size() > kNameLimit) stack_.fail("has a global of more than 4 KiB");
    stack_.push_text(PickleKind::kGlobal, concat(module, ".", name));
  }

  template <PickleKind kKind>
  void empty(size_t) {
    stack_.push(stack_.make(kKind));
  }
  template <PickleKind kKind>
  void marked(size_t) {
    push_items(kKind, stack_.pop_to_mark());
  }
  void tuple(size_t size) {
    PickleStack::Items items(size);
    for (size_t i = size; i-- > 0;) items[i] = stack_.pop();
    push_items(PickleKind::kTuple, std::move(items));
  }
  void push_items(PickleKind kind, PickleStack::Items items) {
    if (kind == PickleKind::kDict) check_pairs(items);
    PickleObject* made = stack_.make(kind);
    made->items = std::move(items);
    stack_.push(made);
  }
  void check_pairs(const PickleStack::Items& items) const {
    if (items.size() % 2 != 0) stack_.fail("has a key without a value");
  }

  void append(size_t) { add_to_list({stack_.pop()}); }
  void append_marked(size_t) { add_to_list(stack_.pop_to_mark()); }
  void add_to_list(const PickleStack::Items& items) {
    PickleObject* list = stack_.top();
    if (list->kind == PickleKind::kCall) return;  // a class derived from list: not looked into
    if (list->kind != PickleKind::kList) stack_.fail("adds to what is no list");
    list->items.insert(list->items.end(), items.begin(), items.end());
  }
  void set_item(size_t) {
    const PickleObject* value = stack_.pop();
    add_to_dict({stack_.pop(), value});
  }
  void set_marked(size_t) { add_to_dict(stack_.pop_to_mark()); }
  void add_to_dict(const PickleStack::Items& items) {
    PickleObject* dict = stack_.top();
    if (dict->kind != PickleKind::kDict && dict->kind != PickleKind::kCall)
      stack_.fail("sets an item of what is no dict");
    check_pairs(items);
    dict->items.insert(dict->items.end(), items.begin(), items.end());
  }

  void mark(size_t) { stack_.mark(); }
  void drop(size_t) { stack_.pop(); }
  void drop_marked(size_t) { stack_.pop_to_mark(); }
  void repeat(size_t) { stack_.push(stack_.top()); }
  void put(size_t size) { stack_.remember(bytes_.number(size)); }
  void memoize(size_t) { stack_.remember_next(); }
  void get(size_t size) { stack_.push(stack_.remembered(bytes_.number(size))); }
  void frame(size_t size) { bytes_.number(size); }
  void protocol(size_t size) {
    if (bytes_.number(size) > kNewestProtocol) stack_.fail("is of a protocol above 5");
  }

  void call(size_t) {
    const PickleObject* arguments = stack_.pop();
    const PickleObject* function = stack_.pop();
    PickleObject* made = stack_.make(PickleKind::kCall);
    made->function = function;
    made->arguments = arguments;
    stack_.push(made);
  }
  /// Without the named arguments.
  void call_with_names(size_t size) {
    stack_.pop();
    call(size);
  }
  void persistent(size_t) {
    const PickleObject* id = stack_.pop();
    PickleObject* made = stack_.make(PickleKind::kPersistent);
    made->arguments = id;
    stack_.push(made);
  }
  void build(size_t) {
    const PickleObject* state = stack_.pop();
    if (stack_.top()->kind == PickleKind::kCall) stack_.top()->state = state;
  }

  PickleBytes& bytes_;
  PickleStack stack_;
};

// The names are those of Python's pickletools. What is not here is refused: protocol 0's texts, the
// extension registry, and protocol 5's buffers beside the file.
const Machine::Instruction Machine::kInstructions[] = {
    {0x80, &Machine::protocol, 1},                    // PROTO
    {0x95, &Machine::frame, 8},                       // FRAME
    {'N', &Machine::none, 0},                         // NONE
    {0x88, &Machine::truth, 1},                       // NEWTRUE
    {0x89, &Machine::truth, 0},                       // NEWFALSE
    {'K', &Machine::unsigned_number, 1},              // BININT1
    {'M', &Machine::unsigned_number, 2},              // BININT2
    {'J', &Machine::signed_number, 4},                // BININT
    {0x8a, &Machine::long_number, 1},                 // LONG1
    {0x8b, &Machine::long_number, 4},                 // LONG4
    {'G', &Machine::other, 8},                        // BINFLOAT
    {0x8c, &Machine::text, 1},                        // SHORT_BINUNICODE
    {'X', &Machine::text, 4},                         // BINUNICODE
    {0x8d, &Machine::text, 8},                        // BINUNICODE8
    {'U', &Machine::text, 1},                         // SHORT_BINSTRING
    {'T', &Machine::text, 4},                         // BINSTRING
    {'C', &Machine::text, 1},                         // SHORT_BINBYTES
    {'B', &Machine::text, 4},                         // BINBYTES
    {0x8e, &Machine::text, 8},                        // BINBYTES8
    {0x96, &Machine::text, 8},                        // BYTEARRAY8
    {'c', &Machine::global, 0},                       // GLOBAL
    {0x93, &Machine::stack_global, 0},                // STACK_GLOBAL
    {')', &Machine::empty<PickleKind::kTuple>, 0},    // EMPTY_TUPLE
    {']', &Machine::empty<PickleKind::kList>, 0},     // EMPTY_LIST
    {'}', &Machine::empty<PickleKind::kDict>, 0},     // EMPTY_DICT
    {0x8f, &Machine::empty<PickleKind::kList>, 0},    // EMPTY_SET
    {'t', &Machine::marked<PickleKind::kTuple>, 0},   // TUPLE
    {'l', &Machine::marked<PickleKind::kList>, 0},    // LIST
    {'d', &Machine::marked<PickleKind::kDict>, 0},    // DICT
    {0x91, &Machine::marked<PickleKind::kTuple>, 0},  // FROZENSET
    {0x85, &Machine::tuple, 1},                       // TUPLE1
    {0x86, &Machine::tuple, 2},                       // TUPLE2
    {0x87, &Machine::tuple, 3},                       // TUPLE3
    {'a', &Machine::append, 0},                       // APPEND
    {'e', &Machine::append_marked, 0},                // APPENDS
    {0x90, &Machine::append_marked, 0},               // ADDITEMS
    {'s', &Machine::set_item, 0},                     // SETITEM
    {'u', &Machine::set_marked, 0},                   // SETITEMS
    {'(', &Machine::mark, 0},                         // MARK
    {'0', &Machine::drop, 0},                         // POP
    {'1', &Machine::drop_marked, 0},                  // POP_MARK
    {'2', &Machine::repeat, 0},                       // DUP
    {'q', &Machine::put, 1},                          // BINPUT
    {'r', &Machine::put, 4},                          // LONG_BINPUT
    {0x94, &Machine::memoize, 0},                     // MEMOIZE
    {'h', &Machine::get, 1},                          // BINGET
    {'j', &Machine::get, 4},                          // LONG_BINGET
    {'R', &Machine::call, 0},                         // REDUCE
    {0x81, &Machine::call, 0},                        // NEWOBJ
    {0x92, &Machine::call_with_names, 0},             // NEWOBJ_EX
    {'Q', &Machine::persistent, 0},                   // BINPERSID
    {'b', &Machine::build, 0},                        // BUILD
};

PickleObject* Machine::run() {
  const size_t begin = bytes_.position();
  for (;;) {
    const auto code = static_cast<uint8_t>(bytes_.number(1));
    if (code == kStop) return stack_.pop();
    const auto* const known =
        std::find_if(std::begin(kInstructions), std::end(kInstructions),
                     [&](const Instruction& instruction) { return instruction.code == code; });
    if (known == std::end(kInstructions))
      stack_.fail(concat("has the unknown instruction ", static_cast<int>(code)));
    (this->*known->run)(known->size);
    if (bytes_.position() - begin > kPickleLimit) stack_.fail("has more than 256 MiB");
  }
}

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
