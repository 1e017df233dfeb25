#include "core/byte_store.h"

#include <gtest/gtest.h>

#include "support/files.h"

namespace vit22b {
namespace {

using test::error_of;
using test::TempFolder;

std::string read_at(const ByteStore& bytes, size_t offset, size_t count) {
  std::string text(count, '?');
  text.resize(bytes.read(offset, std::as_writable_bytes(std::span(text))));
  return text;
}

TEST(ByteStore, ReadsRangesOfAFileAndFewerBytesAtItsEnd) {
  const TempFolder folder;
  test::write_file(folder / "f", "abcdefg");
  const auto bytes = open_file_bytes(folder / "f", ExitCode::kCheckpoint);
  EXPECT_EQ(bytes->size(), 7U);
  EXPECT_EQ(bytes->place(), (folder / "f").string());
  EXPECT_EQ(read_at(*bytes, 0, 7), "abcdefg");
  EXPECT_EQ(read_at(*bytes, 2, 3), "cde");
  EXPECT_EQ(read_at(*bytes, 5, 3), "fg");
  EXPECT_EQ(read_at(*bytes, 9, 3), "");
  EXPECT_EQ(read_at(*bytes, 3, 0), "");
}

TEST(ByteStore, TellsThatAFileHasChanged) {
  const TempFolder folder;
  test::write_file(folder / "f", "abcdefg");
  const auto bytes = open_file_bytes(folder / "f", ExitCode::kCheckpoint);
  EXPECT_TRUE(bytes->is_unchanged());
  std::filesystem::resize_file(folder / "f", 3);
  EXPECT_FALSE(bytes->is_unchanged());
  EXPECT_EQ(read_at(*bytes, 2, 3), "c");
}

TEST(ByteStore, RefusesWhatIsNoFile) {
  const TempFolder folder;
  EXPECT_NE(error_of<UserError>([&] {
              open_file_bytes(folder.path(), ExitCode::kCheckpoint);
            }).find("is a folder, not a regular file"),
            std::string::npos);
}

}  // namespace
}  // namespace vit22b
