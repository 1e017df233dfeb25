#include "checkpoint/container/npz_writer.h"

#include <zlib.h>

#include "core/error.h"

namespace vit22b {
namespace {

// APPNOTE.TXT 6.3: 4.3.7 (local header), 4.3.12 (entry of the directory), 4.3.14 to 4.3.16 (end).
constexpr uint64_t kVersion = 45;  // zip64's
constexpr uint64_t kUtf8Names = 1 << 11;
constexpr uint64_t kNewYear1980 = 1 << 5 | 1;
constexpr uint64_t kInExtraField = 0xFFFFFFFF;
constexpr size_t kArrayAlignment = 64;  // of an array's bytes in its .npy file, as numpy's

/// Little-endian numbers one after the other.
class Record {
 public:
  explicit Record(std::string_view mark) : bytes_(mark) {}
  Record& add(uint64_t value, size_t size) {
    for (size_t i = 0; i < size; ++i) bytes_ += static_cast<char>(value >> (8 * i) & 0xFF);
    return *this;
  }
  Record& add(std::string_view text) {
    bytes_ += text;
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

struct Member {
  std::string name;
  uint64_t begin = 0, size = 0, crc = 0;
};

/// What both headers of a member have alike, up to its extra field's length.
void add_member(Record& record, const Member& member, uint64_t extra_bytes) {
  record.add(kVersion, 2).add(kUtf8Names, 2).add(0, 2).add(0, 2).add(kNewYear1980, 2);
  record.add(member.crc, 4).add(kInExtraField, 4).add(kInExtraField, 4);
  record.add(member.name.size(), 2).add(extra_bytes, 2);
}

std::string local_header(const Member& member) {
  Record record("PK\3\4");
  add_member(record, member, 20);
  record.add(member.name).add(1, 2).add(16, 2).add(member.size, 8).add(member.size, 8);
  return record.bytes();
}

std::string directory_entry(const Member& member) {
  Record record("PK\1\2");
  record.add(kVersion, 2);
  add_member(record, member, 28);
  record.add(0, 2).add(0, 2).add(0, 2).add(0, 4).add(kInExtraField, 4).add(member.name);
  record.add(1, 2).add(24, 2).add(member.size, 8).add(member.size, 8).add(member.begin, 8);
  return record.bytes();
}

std::string directory_end(uint64_t count, uint64_t begin, uint64_t size) {
  Record record("PK\6\6");
  record.add(44, 8).add(kVersion, 2).add(kVersion, 2).add(0, 4).add(0, 4).add(count, 8);
  record.add(count, 8).add(size, 8).add(begin, 8);
  record.add("PK\6\7").add(0, 4).add(begin + size, 8).add(1, 4);
  record.add("PK\5\6").add(0, 2).add(0, 2).add(0xFFFF, 2).add(0xFFFF, 2);
  record.add(kInExtraField, 4).add(kInExtraField, 4).add(0, 2);
  return record.bytes();
}

/// What stands before an array's bytes (version 1.0 of numpy's format).
std::string npy_header(const TensorEntry& entry) {
  const bool is_bfloat16 = entry.dtype == at::kBFloat16;
  VIT22B_CHECK(is_bfloat16 || entry.dtype == at::kFloat, "npz: '", entry.name,
               "' is neither float32 nor bfloat16");
  std::string text =
      concat("{'descr': '", is_bfloat16 ? "|V2" : "<f4", "', 'fortran_order': False, 'shape': (");
  for (const int64_t side : entry.shape) text += concat(side, ",");
  text += "), }";
  constexpr size_t kBefore = 10;
  const size_t whole =
      (kBefore + text.size() + kArrayAlignment) / kArrayAlignment * kArrayAlignment;
  text.resize(whole - kBefore - 1, ' ');
  text += '\n';
  return Record("\x93NUMPY").add(1, 1).add(0, 1).add(text.size(), 2).add(text).bytes();
}

uint64_t crc_of(std::string_view head, std::span<const std::byte> bytes) {
  const uLong crc = crc32_z(0, reinterpret_cast<const Bytef*>(head.data()), head.size());
  return crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
}

}  // namespace

void write_npz(FileOps& ops, const std::filesystem::path& path,
               const std::vector<TensorEntry>& entries,
               const std::function<at::Tensor(size_t i)>& tensor) {
  AtomicFile file(ops, path);
  std::string directory;
  uint64_t begin = 0;
  for (size_t i = 0; i < entries.size(); ++i) {
    const at::Tensor plain = tensor(i).detach().cpu().contiguous();
    VIT22B_CHECK(plain.scalar_type() == entries[i].dtype && plain.sizes() == entries[i].shape,
                 "npz: '", entries[i].name, "' is not as its entry says");
    const std::span bytes(static_cast<const std::byte*>(plain.const_data_ptr()), plain.nbytes());
    const std::string head = npy_header(entries[i]);
    const Member member{entries[i].name + ".npy", begin, head.size() + bytes.size(),
                        crc_of(head, bytes)};
    const std::string local = local_header(member);
    file.write(local);
    file.write(head);
    file.write(bytes);
    directory += directory_entry(member);
    begin += local.size() + member.size;
  }
  file.write(directory);
  file.write(directory_end(entries.size(), begin, directory.size()));
  file.commit();
}

}  // namespace vit22b
