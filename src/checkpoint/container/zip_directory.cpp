#include "checkpoint/container/zip_directory.h"

#include "core/checked.h"
#include "core/error.h"
#include "core/stored_bytes.h"

namespace vit22b {
namespace {

// Layouts and signatures of APPNOTE.TXT 6.3: 4.3.16 (end), 4.3.15 and 4.3.14
// (zip64), 4.3.12, 4.3.7.
constexpr std::string_view kEndMark{"PK\5\6", 4}, kLocatorMark{"PK\6\7", 4},
    kBigEndMark{"PK\6\6", 4}, kEntryMark{"PK\1\2", 4}, kLocalMark{"PK\3\4", 4};
constexpr size_t kEndBytes = 22, kLocatorBytes = 20, kBigEndBytes = 56, kEntryBytes = 46,
                 kLocalBytes = 30;
constexpr size_t kCommentLimit = 0xFFFF;
constexpr size_t kDirectoryLimit = size_t{256} << 20;
constexpr uint64_t kInExtraField = 0xFFFFFFFF;  // a size or an offset that stands there
constexpr uint64_t kIsEncrypted = 1, kSizesFollow = 8;
constexpr uint64_t kStored = 0, kDeflated = 8;
constexpr size_t kMostPacked = 1032;  // bytes that one of deflate's can stand for, at most

struct Directory {
  uint64_t begin = 0, size = 0, count = 0;
};

class ZipReader {
 public:
  explicit ZipReader(const ByteStore& archive) : archive_(archive) {}

  std::map<std::string, ZipMember> members() {
    directory_ = find_directory();
    const std::string text =
        read_range(archive_, directory_.begin, directory_.size, "the zip directory");
    std::map<std::string, ZipMember> members;
    size_t at = 0;
    for (uint64_t i = 0; i < directory_.count; ++i) {
      const std::string_view rest = std::string_view(text).substr(at);
      const size_t size = entry_size(rest);
      std::string name(rest.substr(kEntryBytes, little_endian(rest, 28, 2)));
      const ZipMember member = read_entry(rest.substr(0, size), name);
      if (!members.emplace(name, member).second) fail(concat("holds two members '", name, "'"));
      at += size;
    }
    if (at != text.size()) fail("has a directory of another size than it says");
    return members;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw CheckpointError(archive_.place(), ": the zip archive ", what);
  }

  Directory find_directory() const {
    const size_t looked_at = std::min(archive_.size(), kEndBytes + kCommentLimit);
    const size_t first = archive_.size() - looked_at;
    const std::string tail = read_range(archive_, first, looked_at, "the zip directory's end");
    size_t at = tail.rfind(kEndMark);
    while (at != std::string::npos &&
           (tail.size() - at < kEndBytes ||
            at + kEndBytes + little_endian(tail, at + 20, 2) != tail.size()))
      at = at == 0 ? std::string::npos : tail.rfind(kEndMark, at - 1);
    if (at == std::string::npos) fail("has no directory at its end; the file is cut short");
    return at_place(read_end(std::string_view(tail).substr(at), first + at));
  }

  /// The directory, and where it has to end.
  struct Found {
    Directory directory;
    uint64_t end;
  };

  Found read_end(std::string_view end, size_t place) const {
    if (place >= kLocatorBytes) {
      const std::string locator =
          read_range(archive_, place - kLocatorBytes, kLocatorBytes, "the zip64 locator");
      if (locator.starts_with(kLocatorMark)) return read_big_end(little_endian(locator, 8, 8));
    }
    if (little_endian(end, 4, 4) != 0) fail("is one of several parts");
    return {{little_endian(end, 16, 4), little_endian(end, 12, 4), little_endian(end, 10, 2)},
            place};
  }

  Found read_big_end(uint64_t place) const {
    if (place > archive_.size()) fail("has a zip64 end that lies behind the file's");
    const std::string end = read_range(archive_, place, kBigEndBytes, "the zip64 end");
    if (!end.starts_with(kBigEndMark)) fail("has no zip64 end where it says");
    if (little_endian(end, 16, 8) != 0) fail("is one of several parts");
    return {{little_endian(end, 48, 8), little_endian(end, 40, 8), little_endian(end, 32, 8)},
            place};
  }

  Directory at_place(const Found& found) const {
    const Directory& directory = found.directory;
    if (directory.size > found.end || directory.begin != found.end - directory.size)
      fail(concat("has its directory elsewhere than it says (", directory.size, " bytes at ",
                  directory.begin, ", want them to end at ", found.end,
                  "); bytes stand before it, or are missing"));
    if (directory.size > kDirectoryLimit) fail("has a directory of more than 256 MiB");
    return directory;
  }

  size_t entry_size(std::string_view rest) const {
    if (rest.size() < kEntryBytes || !rest.starts_with(kEntryMark)) fail("has a damaged directory");
    const size_t size = kEntryBytes + little_endian(rest, 28, 2) + little_endian(rest, 30, 2) +
                        little_endian(rest, 32, 2);
    if (size > rest.size()) fail("has a damaged directory");
    return size;
  }

  ZipMember read_entry(std::string_view entry, const std::string& name) const {
    const uint64_t flags = little_endian(entry, 8, 2), method = little_endian(entry, 10, 2);
    if (flags & kIsEncrypted) fail(concat("has the member '", name, "' encrypted"));
    if (method != kStored && method != kDeflated)
      fail(concat("has the member '", name, "' packed by method ", method,
                  ", want none (0) or deflate (8)"));
    uint64_t size = little_endian(entry, 24, 4), packed = little_endian(entry, 20, 4),
             local = little_endian(entry, 42, 4);
    std::string_view big = big_fields(entry);
    for (uint64_t* field : {&size, &packed, &local}) {
      if (*field != kInExtraField) continue;
      if (big.size() < 8) fail(concat("lacks the sizes of the member '", name, "'"));
      *field = little_endian(big, 0, 8);
      big.remove_prefix(8);
    }
    ZipMember member{0, packed, size, method == kDeflated};
    member.begin = begin_of(local, name, packed, (flags & kSizesFollow) != 0);
    check_size(member, name);
    return member;
  }

  /// What an entry's extra field has of sizes above 4 GiB.
  static std::string_view big_fields(std::string_view entry) {
    std::string_view extra =
        entry.substr(kEntryBytes + little_endian(entry, 28, 2), little_endian(entry, 30, 2));
    while (extra.size() >= 4) {
      const uint64_t id = little_endian(extra, 0, 2), size = little_endian(extra, 2, 2);
      if (id == 1) return extra.substr(4, size);
      extra.remove_prefix(std::min<size_t>(extra.size(), 4 + size));
    }
    return {};
  }

  /// Where a member's bytes begin: behind its own header, which has to agree with the directory.
  size_t begin_of(uint64_t local, const std::string& name, uint64_t packed,
                  bool sizes_follow) const {
    const size_t size = kLocalBytes + name.size();
    if (local > directory_.begin || size > directory_.begin - local)
      fail(concat("has the member '", name, "' behind its directory"));
    const std::string header = read_range(archive_, local, size, concat("member '", name, "'"));
    if (!header.starts_with(kLocalMark) || header.substr(kLocalBytes) != name ||
        little_endian(header, 26, 2) != name.size())
      fail(concat("has no member '", name, "' where its directory says"));
    const uint64_t own = little_endian(header, 18, 4);
    if (!sizes_follow && own != kInExtraField && own != packed)
      fail(concat("gives the member '", name, "' ", own, " bytes in its own header and ", packed,
                  " in the directory"));
    return local + size + little_endian(header, 28, 2);
  }

  void check_size(const ZipMember& member, const std::string& name) const {
    if (member.begin > directory_.begin || member.packed_size > directory_.begin - member.begin)
      fail(concat("has the member '", name, "' of ", member.packed_size, " bytes at ", member.begin,
                  ", and its directory at ", directory_.begin));
    if (!member.is_deflated && member.size != member.packed_size)
      fail(concat("has the member '", name, "' with ", member.packed_size, " bytes, want ",
                  member.size));
    if (member.size / kMostPacked > member.packed_size)
      fail(concat("claims that ", member.packed_size, " bytes of the member '", name,
                  "' are packed ones of ", member.size, ", more than deflate can pack"));
  }

  const ByteStore& archive_;
  Directory directory_;
};

}  // namespace

std::map<std::string, ZipMember> read_zip_directory(const ByteStore& archive) {
  return ZipReader(archive).members();
}

}  // namespace vit22b
