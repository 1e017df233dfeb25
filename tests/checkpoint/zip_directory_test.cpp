#include "checkpoint/container/zip_directory.h"

#include <gtest/gtest.h>

#include "support/files.h"
#include "support/zip_archive.h"

namespace vit22b {
namespace {

using test::zip_archive;
using test::ZipEntry;
using test::ZipStyle;

std::map<std::string, ZipMember> members_of(const test::TempFolder& folder,
                                            const std::string& bytes) {
  test::write_file(folder / "z", bytes);
  return read_zip_directory(*open_file_bytes(folder / "z", ExitCode::kCheckpoint));
}

/// What is said of an archive, without its path.
std::string refusal(const std::string& bytes) {
  const test::TempFolder folder;
  const std::string text = test::error_of<CheckpointError>([&] { members_of(folder, bytes); });
  const std::string path = (folder / "z").string();
  return text.find(path) == 0 ? text.substr(path.size()) : text;
}
std::string refusal(const ZipEntry& entry, const ZipStyle& style = {}) {
  return refusal(zip_archive({entry}, style));
}

TEST(ZipDirectory, SaysWhereMembersLie) {
  const test::TempFolder folder;
  const std::string bytes =
      zip_archive({{"first", "abc"}, {"d/second", std::string(5000, 'x'), true}});
  const auto members = members_of(folder, bytes);
  EXPECT_EQ(bytes.substr(members.at("first").begin, 3), "abc");
  EXPECT_EQ(members.at("d/second").size, 5000u);
  EXPECT_LT(members.at("d/second").packed_size, 100u);
  EXPECT_TRUE(members.at("d/second").is_deflated);
}

TEST(ZipDirectory, SizesOfZip64AreRead) {
  const test::TempFolder folder;
  const std::string bytes = zip_archive({{"a", "abc"}, {"b", "de"}}, {.is_zip64 = true});
  const auto members = members_of(folder, bytes);
  EXPECT_EQ(bytes.substr(members.at("b").begin, members.at("b").size), "de");
}

TEST(ZipDirectory, ACutArchiveHasNone) {
  const std::string whole = zip_archive({{"a", "abc"}});
  EXPECT_EQ(refusal(whole.substr(0, whole.size() - 1)),
            ": the zip archive has no directory at its end; the file is cut short");
}

TEST(ZipDirectory, ElsewhereThanItSaysIsRefused) {
  EXPECT_EQ(refusal({"a", "abc"}, {.moved_bytes = 7}),
            ": the zip archive has its directory elsewhere than it says (47 bytes at 41, want them "
            "to end at 81); bytes stand before it, or are missing");
  EXPECT_NE(refusal({"a", "abc"}, {.is_zip64 = true, .moved_bytes = 7}).find("elsewhere"),
            std::string::npos);
  EXPECT_NE(refusal("junk" + zip_archive({{"a", "abc"}})).find("elsewhere"), std::string::npos);
}

TEST(ZipDirectory, TwoMembersOfOneNameAreRefused) {
  EXPECT_EQ(refusal(zip_archive({{"a", "abc"}, {"a", "def"}})),
            ": the zip archive holds two members 'a'");
}

TEST(ZipDirectory, AMemberWhoseSizesDisagreeIsRefused) {
  ZipEntry entry{"a", "abc"};
  entry.claimed_size = 4;
  EXPECT_EQ(refusal(entry), ": the zip archive has the member 'a' with 3 bytes, want 4");
  entry = {"a", "abc"};
  entry.claimed_packed_size = 2;
  EXPECT_EQ(refusal(entry),
            ": the zip archive gives the member 'a' 2 bytes in its own header and "
            "3 in the directory");
}

TEST(ZipDirectory, MoreThanDeflateCanPackIsRefused) {
  ZipEntry bomb{"a", "abc", true};
  bomb.claimed_size = int64_t{1} << 40;
  EXPECT_EQ(refusal(bomb, {.is_zip64 = true}),
            ": the zip archive claims that 5 bytes of the member 'a' are packed ones of "
            "1099511627776, more than deflate can pack");
}

TEST(ZipDirectory, OtherMethodsAndEncryptionAreRefused) {
  ZipEntry entry{"a", "abc"};
  entry.method = 12;
  EXPECT_EQ(refusal(entry),
            ": the zip archive has the member 'a' packed by method 12, want none "
            "(0) or deflate (8)");
  entry = {"a", "abc"};
  entry.flags = 1;
  EXPECT_EQ(refusal(entry), ": the zip archive has the member 'a' encrypted");
}

TEST(ZipDirectory, AMemberThatIsNotThereIsRefused) {
  std::string bytes = zip_archive({{"a", "abc"}, {"b", "def"}});
  bytes[30] = 'x';  // the first one's own name
  EXPECT_EQ(refusal(bytes), ": the zip archive has no member 'a' where its directory says");
}

}  // namespace
}  // namespace vit22b
