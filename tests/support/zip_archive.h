#pragma once
#include <zlib.h>

#include <cstdint>
#include <string>
#include <vector>

namespace vit22b::test {

/// A whole number as that many bytes, little-endian.
inline std::string little(uint64_t value, size_t size) {
  std::string bytes;
  for (size_t i = 0; i < size; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

/// One member of an archive, and what may be wrong with it.
struct ZipEntry {
  std::string name, bytes;
  bool is_deflated = false;
  uint64_t method = 0, flags = 0;    ///< beside those of is_deflated
  int64_t claimed_size = -1;         ///< in the directory, in place of the true one
  int64_t claimed_packed_size = -1;  ///< in the member's own header
};

/// How an archive is written, and what may be wrong with it.
struct ZipStyle {
  bool is_zip64 = false;     ///< every size and offset as in archives above 4 GiB
  uint64_t moved_bytes = 0;  ///< how far the directory is from where the end says
  std::string comment = {};
};

inline std::string deflated(const std::string& bytes) {
  std::string packed(bytes.size() + 100, '\0');
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  deflateEnd(&stream);
  return packed.substr(0, packed.size() - stream.avail_out);
}

/// A zip archive written by hand, by APPNOTE.TXT 6.3; CRCs are zero.
inline std::string zip_archive(const std::vector<ZipEntry>& entries, const ZipStyle& style = {}) {
  const uint64_t big = 0xFFFFFFFF;
  const auto field = [&](uint64_t value) { return little(style.is_zip64 ? big : value, 4); };
  std::string archive, directory;
  for (const ZipEntry& entry : entries) {
    const std::string data = entry.is_deflated ? deflated(entry.bytes) : entry.bytes;
    const uint64_t begin = archive.size(), method = entry.is_deflated ? 8 : entry.method;
    const uint64_t own = entry.claimed_packed_size < 0
                             ? data.size()
                             : static_cast<uint64_t>(entry.claimed_packed_size);
    const uint64_t size =
        entry.claimed_size < 0 ? entry.bytes.size() : static_cast<uint64_t>(entry.claimed_size);
    const std::string sizes = little(size, 8) + little(data.size(), 8),
                      own_extra = style.is_zip64 ? little(1, 2) + little(16, 2) + sizes : "",
                      extra = style.is_zip64
                                  ? little(1, 2) + little(24, 2) + sizes + little(begin, 8)
                                  : "";
    const std::string start =
        little(entry.flags, 2) + little(method, 2) + little(0, 4) + little(0, 4);
    archive += "PK\3\4" + little(45, 2) + start + field(own) + field(size) +
               little(entry.name.size(), 2) + little(own_extra.size(), 2) + entry.name + own_extra +
               data;
    directory += "PK\1\2" + little(45, 2) + little(45, 2) + start + field(data.size()) +
                 field(size) + little(entry.name.size(), 2) + little(extra.size(), 2) +
                 little(0, 2) + little(0, 2) + little(0, 2) + little(0, 4) + field(begin) +
                 entry.name + extra;
  }
  const uint64_t begin = archive.size() + style.moved_bytes,
                 end = archive.size() + directory.size();
  archive += directory;
  if (style.is_zip64)
    archive += "PK\6\6" + little(44, 8) + little(45, 2) + little(45, 2) + little(0, 8) +
               little(entries.size(), 8) + little(entries.size(), 8) + little(directory.size(), 8) +
               little(begin, 8) + "PK\6\7" + little(0, 4) + little(end, 8) + little(1, 4);
  const uint64_t count = style.is_zip64 ? 0xFFFF : entries.size();
  return archive + "PK\5\6" + little(0, 4) + little(count, 2) + little(count, 2) +
         field(directory.size()) + field(begin) + little(style.comment.size(), 2) + style.comment;
}

/// An .npy file with a header in Python's words.
inline std::string npy(const std::string& header, const std::string& data, int version = 1) {
  const size_t length_bytes = version == 1 ? 2 : 4;
  return "\x93NUMPY" + little(static_cast<uint64_t>(version), 1) + little(0, 1) +
         little(header.size(), length_bytes) + header + data;
}
inline std::string npy_header(const std::string& descr, const std::string& shape,
                              const std::string& is_fortran = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + is_fortran + ", 'shape': " + shape +
         ", }\n";
}

/// The bytes of some numbers.
template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace vit22b::test
