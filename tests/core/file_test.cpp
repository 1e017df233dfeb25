#include "core/file.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include "core/checksum.h"
#include "support/files.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::read_file;
using test::TempFolder;
using test::write_file;

/// Fails every write with a full disk.
class FullDisk : public FileOps {
 public:
  using FileOps::FileOps;
  void write(int, std::span<const std::byte>, const fs::path& path) override {
    fail("write", path, ENOSPC);
  }
};

TEST(AtomicFile, AppearsWholeAtCommit) {
  const TempFolder folder;
  FileOps ops;
  AtomicFile file(ops, folder / "a");
  file.write("hello");
  EXPECT_FALSE(fs::exists(folder / "a"));
  file.commit();
  EXPECT_EQ(read_file(folder / "a"), "hello");
  EXPECT_FALSE(fs::exists(folder / "a.tmp"));
}

TEST(AtomicFile, KeepsTheOldFileAndLeavesNothingWhenTheDiskIsFull) {
  const TempFolder folder;
  write_file(folder / "a", "old");
  FullDisk ops(ExitCode::kCheckpoint);
  try {
    write_text(ops, folder / "a", "new");
    FAIL();
  } catch (const UserError& e) {
    EXPECT_EQ(e.code(), ExitCode::kCheckpoint);
    EXPECT_EQ(std::string(e.what()),
              "cannot write " + (folder / "a.tmp").string() +
                  ": No space left on device; free some space or choose another --out");
  }
  EXPECT_EQ(read_file(folder / "a"), "old");
  EXPECT_FALSE(fs::exists(folder / "a.tmp"));
}

TEST(FileOps, ExchangeSwapsTwoFoldersInOneStep) {
  const TempFolder folder;
  write_file(folder / "a/x", "1");
  write_file(folder / "b/x", "2");
  FileOps().exchange(folder / "a", folder / "b");
  EXPECT_EQ(read_file(folder / "a/x"), "2");
  EXPECT_EQ(read_file(folder / "b/x"), "1");
}

TEST(ReadText, RefusesAFileAboveItsLimit) {
  const TempFolder folder;
  write_file(folder / "a", "12345");
  EXPECT_NE(error_of<UserError>([&] {
              read_text(folder / "a", ExitCode::kData, 4);
            }).find("more than the 4 B"),
            std::string::npos);
  EXPECT_EQ(read_text(folder / "a", ExitCode::kData, 5), "12345");
}

TEST(MappedFile, RefusesFoldersAndMissingFiles) {
  const TempFolder folder;
  EXPECT_NE(error_of<UserError>([&] {
              MappedFile(folder.path(), ExitCode::kData);
            }).find("not a regular file"),
            std::string::npos);
  EXPECT_NE(error_of<UserError>([&] {
              MappedFile(folder / "none", ExitCode::kData);
            }).find("No such file"),
            std::string::npos);
}

TEST(FolderLock, SecondProcessIsToldWhoHoldsIt) {
  const TempFolder folder;
  const FolderLock lock(folder.path());
  const pid_t child = fork();
  if (child == 0) {
    const std::string text = error_of<UsageError>([&] { FolderLock second(folder.path()); });
    _exit(text.find("is in use by pid " + std::to_string(getppid())) != std::string::npos ? 0 : 1);
  }
  int status = 1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(Checksum, IsXxh3OfTheBytes) {
  EXPECT_EQ(xxh3_128({}), "99aa06d3014798d86001c324468d497f");  // xxHash's own value for no bytes
}

}  // namespace
}  // namespace vit22b
