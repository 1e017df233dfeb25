#include "core/npy_header.h"

#include <charconv>
#include <numeric>

#include "core/checked.h"
#include "core/error.h"
#include "core/stored_bytes.h"
#include "core/text.h"

namespace vit22b {
namespace {

constexpr std::string_view kMark = "\x93NUMPY";
constexpr size_t kMarkBytes = 8;  // with the version
constexpr size_t kHeaderLimit = size_t{64} << 10;
constexpr size_t kMaxDims = 32;  // numpy's before 2.0; 2.0 has 64

struct DtypeCode {
  std::string_view code;
  at::ScalarType dtype;
};
// bfloat16 is none of numpy's: what ml_dtypes and JAX save of it is two bytes of no type.
constexpr DtypeCode kDtypes[] = {
    {"<f4", at::kFloat},    {"<f2", at::kHalf}, {"<f8", at::kDouble}, {"|V2", at::kBFloat16},
    {"<V2", at::kBFloat16}, {"|i1", at::kChar}, {"<i1", at::kChar},   {"<i2", at::kShort},
    {"<i4", at::kInt},      {"<i8", at::kLong}, {"|u1", at::kByte},   {"|b1", at::kBool}};

/// Reads the header's text: a dict in Python's words of descr, fortran_order and shape.
class HeaderText {
 public:
  HeaderText(std::string_view text, const std::string& place) : text_(text), place_(place) {}

  void read() {
    expect('{');
    while (!accept('}')) {
      read_field(quoted());
      if (accept(',')) continue;
      expect('}');
      break;
    }
    if (!descr_ || !is_fortran_ || !shape_) fail("lacks descr, fortran_order or shape");
  }

  const std::string& descr() const { return *descr_; }
  bool is_fortran() const { return *is_fortran_; }
  const std::vector<int64_t>& shape() const { return *shape_; }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw CheckpointError(place_, ": the .npy header ", what);
  }

  bool accept(char c) {
    text_.remove_prefix(std::min(text_.find_first_not_of(" \n\t"), text_.size()));
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool accept(std::string_view word) {
    accept(' ');
    if (!text_.starts_with(word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(concat("has '", text_.substr(0, 12), "' where '", c, "' is wanted"));
  }

  std::string quoted() {
    const char quote = accept('"') ? '"' : '\'';
    if (quote == '\'') expect(quote);
    const size_t end = text_.find(quote);
    if (end == std::string_view::npos) fail("is cut short");
    std::string word(text_.substr(0, end));
    text_.remove_prefix(end + 1);
    return word;
  }

  void read_field(const std::string& key) {
    expect(':');
    if (key == "descr" && !descr_) {
      if (accept('[')) throw CheckpointError(place_, " is a structured array, want plain numbers");
      descr_ = quoted();
    } else if (key == "fortran_order" && !is_fortran_) {
      is_fortran_ = accept("True");
      if (!*is_fortran_ && !accept("False")) fail("has a fortran_order that is no bool");
    } else if (key == "shape" && !shape_) {
      shape_ = sides();
    } else {
      fail(concat("has the key '", key, "' twice, or knows none such"));
    }
  }

  std::vector<int64_t> sides() {
    std::vector<int64_t> shape;
    expect('(');
    while (!accept(')')) {
      accept(' ');
      int64_t side = -1;
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), side);
      if (error != std::errc() || side < 0 || shape.size() == kMaxDims)
        fail("has a shape that is no short list of sizes");
      text_.remove_prefix(static_cast<size_t>(end - text_.data()));
      accept('L');  // Python 2's long integers
      shape.push_back(side);
      if (accept(',')) continue;
      expect(')');
      break;
    }
    return shape;
  }

  std::string_view text_;
  const std::string& place_;
  std::optional<std::string> descr_;
  std::optional<bool> is_fortran_;
  std::optional<std::vector<int64_t>> shape_;
};

at::ScalarType dtype_of(const std::string& descr, const std::string& place) {
  for (const DtypeCode& known : kDtypes)
    if (known.code == descr) return known.dtype;
  const char kind = descr.size() > 1 ? descr[1] : '?';
  if (kind == 'O')
    throw CheckpointError(place, " holds Python objects (dtype '", descr, "'), want numbers");
  if (kind == 'S' || kind == 'U')
    throw CheckpointError(place, " holds text (dtype '", descr, "'), want numbers");
  if (descr.starts_with('>'))
    throw CheckpointError(place, " is big-endian (dtype '", descr, "'), want '<", descr.substr(1),
                          "'; save it by a.astype('<", descr.substr(1), "')");
  throw CheckpointError(place, " has the unknown dtype '", descr, "'");
}

/// In elements. What lies first in memory is Fortran's first dim and C's last.
std::vector<int64_t> strides_of(const std::vector<int64_t>& shape, bool is_fortran) {
  std::vector<int64_t> strides(shape.size());
  int64_t next = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    const size_t dim = is_fortran ? i : shape.size() - 1 - i;
    strides[dim] = next;
    next *= std::max<int64_t>(shape[dim], 1);
  }
  return strides;
}

}  // namespace

NpyHeader read_npy_header(const ByteStore& store, size_t begin, size_t size,
                          const std::string& place) {
  const std::string start =
      read_range(store, begin, std::min(size, kMarkBytes + sizeof(uint32_t)), place);
  const size_t version = start.size() < kMarkBytes ? 0 : little_endian(start, 6, 1);
  const size_t length_bytes = version == 1 ? 2 : 4, before = kMarkBytes + length_bytes;
  if (!start.starts_with(kMark) || version < 1 || version > 3 || start.size() < before)
    throw CheckpointError(place, " is no .npy array of version 1 to 3");
  const size_t length = little_endian(start, kMarkBytes, length_bytes);
  if (length > kHeaderLimit || length > size - before)
    throw CheckpointError(place, ": the .npy header claims ", length, " bytes of ", size);
  const std::string text = read_range(store, begin + before, length, place);
  HeaderText header(text, place);
  header.read();
  NpyHeader read{dtype_of(header.descr(), place), {begin + before + length, 0, header.shape(), {}}};
  read.view.element_bytes = c10::elementSize(read.dtype);
  const auto bytes =
      checked_size_bytes(read.view.shape, static_cast<int64_t>(read.view.element_bytes));
  if (!bytes) throw CheckpointError(place, " has a shape whose size overflows");
  const size_t data = size - before - length;
  if (static_cast<size_t>(*bytes) != data)
    throw CheckpointError(place, " has ", data, " bytes, its shape ", sides_text(read.view.shape),
                          " needs ", *bytes);
  read.view.strides = strides_of(read.view.shape, header.is_fortran());
  return read;
}

}  // namespace vit22b
