#include "core/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <thread>

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

std::set<std::string> names_in(const TempFolder& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder.path()))
    names.insert(entry.path().filename());
  return names;
}

TEST(AtomicFile, AppearsWholeAtCommit) {
  const TempFolder folder;
  FileOps ops;
  AtomicFile file(ops, folder / "a");
  file.write("hello");
  EXPECT_FALSE(fs::exists(folder / "a"));
  file.commit();
  EXPECT_EQ(read_file(folder / "a"), "hello");
  EXPECT_EQ(names_in(folder), (std::set<std::string>{"a"}));
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
              "cannot write " + (folder / "a").string() +
                  ": No space left on device; free some space or choose another --out");
  }
  EXPECT_EQ(read_file(folder / "a"), "old");
  EXPECT_EQ(names_in(folder), (std::set<std::string>{"a"}));
}

TEST(AtomicFile, LeavesNothingWhenTheNameCannotBeTaken) {
  class NoRename : public FileOps {
    void rename(const fs::path&, const fs::path& to) override { fail("write", to, EBUSY); }
  };
  const TempFolder folder;
  NoRename ops;
  EXPECT_NE(error_of<UserError>([&] { write_text(ops, folder / "a", "new"); }), "(nothing thrown)");
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

// What stands at NAME.tmp is somebody else's, be it a folder or a link.
TEST(AtomicFile, LeavesWhatIsCalledNameTmpAlone) {
  const TempFolder folder;
  write_file(folder / "a.tmp/thesis.txt", "precious");
  write_file(folder / "victim", "precious");
  fs::create_symlink(folder / "victim", folder / "b.tmp");
  FileOps ops;
  write_text(ops, folder / "a", "new");
  write_text(ops, folder / "b", "new");
  EXPECT_EQ(read_file(folder / "a.tmp/thesis.txt"), "precious");
  EXPECT_EQ(read_file(folder / "victim"), "precious");
  EXPECT_TRUE(fs::is_symlink(folder / "b.tmp"));
  EXPECT_FALSE(fs::is_symlink(folder / "b"));
  EXPECT_EQ(read_file(folder / "b"), "new");
}

TEST(AtomicFile, KeepsTheModeOfTheFileThatItReplaces) {
  const TempFolder folder;
  write_file(folder / "a", "old");
  fs::permissions(folder / "a", fs::perms::owner_read | fs::perms::owner_write);
  FileOps ops;
  write_text(ops, folder / "a", "new");
  EXPECT_EQ(fs::status(folder / "a").permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST(AtomicFile, FollowsLinksToFilesThatAreThereOrNotYet) {
  const TempFolder folder;
  write_file(folder / "there/real", "old");
  fs::create_symlink("there/real", folder / "link");
  fs::create_symlink(folder / "link", folder / "again");
  fs::create_symlink("there/later", folder / "dangling");
  fs::create_symlink("loop", folder / "loop");
  FileOps ops;
  write_text(ops, folder / "again", "new");
  write_text(ops, folder / "dangling", "new");
  EXPECT_EQ(fs::read_symlink(folder / "link"), "there/real");
  EXPECT_TRUE(fs::is_symlink(folder / "again") && fs::is_symlink(folder / "dangling"));
  EXPECT_EQ(read_file(folder / "there/real"), "new");
  EXPECT_EQ(read_file(folder / "there/later"), "new");
  EXPECT_NE(error_of<UsageError>([&] {
              write_text(ops, folder / "loop", "");
            }).find("links lead to each other"),
            std::string::npos);
}

TEST(AtomicFile, WritesToAPipeAndNeverReplacesIt) {
  const TempFolder folder;
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  fs::create_symlink("pipe", folder / "link");
  for (const char* name : {"pipe", "link"}) {
    std::string got;
    std::thread reader([&] { got = read_file(folder / "pipe"); });
    FileOps ops;
    write_text(ops, folder / name, "hello");
    reader.join();
    EXPECT_EQ(got, "hello");
  }
  EXPECT_TRUE(fs::is_fifo(folder / "pipe"));
  EXPECT_EQ(names_in(folder), (std::set<std::string>{"link", "pipe"}));
}

TEST(AtomicFile, WritesToADeviceAndNeverReplacesIt) {
  const TempFolder folder;
  const fs::path device = folder / "null";
  if (mknod(device.c_str(), S_IFCHR | 0600, makedev(1, 3)) != 0)
    GTEST_SKIP() << "needs the right to make devices";
  if (const int opened = ::open(device.c_str(), O_WRONLY); opened < 0)
    GTEST_SKIP() << "devices cannot be opened here";
  else
    ::close(opened);
  FileOps ops;
  write_text(ops, device, "hello");
  EXPECT_TRUE(fs::is_character_file(device));
  EXPECT_EQ(names_in(folder), (std::set<std::string>{"null"}));
}

// As with `>FILE 3>>OTHER` in a shell: what came before stays, and the file is not replaced.
TEST(AtomicFile, WritesToADescriptorWhereItStands) {
  const TempFolder folder;
  write_file(folder / "log", "before ");
  const int log = ::open((folder / "log").c_str(), O_WRONLY | O_APPEND);
  fs::create_symlink("/dev/fd", folder / "descriptors");
  fs::create_symlink("descriptors/" + std::to_string(log), folder / "link");
  FileOps ops;
  write_text(ops, "/dev/fd/" + std::to_string(log), "hello ");
  write_text(ops, "/proc/self/fd/" + std::to_string(log), "again ");
  write_text(ops, folder / "link", "and again");
  ::close(log);
  EXPECT_EQ(read_file(folder / "log"), "before hello again and again");
  EXPECT_NE(error_of<UsageError>([&] { write_text(ops, "/dev/fd/999", ""); }).find("is not open"),
            std::string::npos);
}

TEST(AtomicFile, OfTwoWritersTheLastOnesFileStandsWhole) {
  const TempFolder folder;
  FileOps ops;
  AtomicFile first(ops, folder / "a"), second(ops, folder / "a");
  first.write("first, ");
  second.write("second, ");
  first.write("whole");
  first.commit();
  EXPECT_EQ(read_file(folder / "a"), "first, whole");
  second.write("whole");
  second.commit();
  EXPECT_EQ(read_file(folder / "a"), "second, whole");
}

TEST(AtomicFile, OfTwoProcessesBothEndWellAndNothingMixes) {
  const TempFolder folder;
  const auto write_often = [&](char letter) {
    FileOps ops;
    for (int i = 0; i < 50; ++i) write_text(ops, folder / "a", std::string(50'000, letter));
  };
  const pid_t child = fork();
  if (child == 0) {
    write_often('x');
    _exit(0);
  }
  write_often('y');
  int status = 1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  const std::string text = read_file(folder / "a");
  EXPECT_EQ(text, std::string(50'000, text[0]));
  EXPECT_EQ(names_in(folder), (std::set<std::string>{"a"}));
}

TEST(AtomicFile, RefusesFoldersAndNamesTheFolderThatIsNotThere) {
  const TempFolder folder;
  FileOps ops;
  EXPECT_EQ(error_of<UsageError>([&] { write_text(ops, folder.path(), ""); }),
            "cannot write " + folder.path().string() + ": it is a folder; give a file's name");
  EXPECT_EQ(
      error_of<UserError>([&] { write_text(ops, folder / "none/a", ""); }),
      "cannot create a file in " + (folder / "none").string() + ": No such file or directory");
}

TEST(AtomicFile, TemporaryNamesAreToldFromOthers) {
  const fs::path one = temporary_beside("folder/a"), two = temporary_beside("folder/a");
  EXPECT_NE(one, two);
  EXPECT_EQ(one.parent_path(), "folder");
  EXPECT_TRUE(is_temporary_name(one.filename().string()));
  for (const char* name : {"a.tmp", "step-00000001.tmp", ".vit22b-.tmp", ".vit22b-1.tmp"})
    EXPECT_FALSE(is_temporary_name(name)) << name;
}

TEST(AppendText, GoesThroughTheSeam) {
  const TempFolder folder;
  FileOps ops;
  append_text(ops, folder / "a", "one ");
  append_text(ops, folder / "a", "two");
  EXPECT_EQ(read_file(folder / "a"), "one two");
  class NoAppend : public FileOps {
    int open_to_append(const fs::path& path) override { fail("open", path, EACCES); }
  };
  NoAppend faulty;
  EXPECT_EQ(error_of<UserError>([&] { append_text(faulty, folder / "a", "three"); }),
            "cannot open " + (folder / "a").string() +
                ": Permission denied; choose a folder that you may write to with --out");
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

// A named pipe that nobody writes into, and a device that never ends.
TEST(ReadText, OfWhatIsNoFileIsRefusedWithoutWaiting) {
  const TempFolder folder;
  const fs::path pipe = folder / "a.jpg";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(error_of<UserError>([&] { read_text(pipe, ExitCode::kData); }),
            pipe.string() + " is a pipe, not a regular file");
  EXPECT_EQ(error_of<UserError>([&] { read_text("/dev/zero", ExitCode::kData); }),
            "/dev/zero is a device, not a regular file");
  EXPECT_EQ(error_of<UserError>([&] { read_text(folder.path(), ExitCode::kData); }),
            folder.path().string() + " is a folder, not a regular file");
}

// A file of sysfs says that it has a page and gives less, as one that is cut off in between.
TEST(ReadText, OfAFileThatBecomesShorterIsAnError) {
  const fs::path page = "/sys/kernel/mm/transparent_hugepage/enabled";
  if (!fs::exists(page)) GTEST_SKIP() << "no " << page;
  const std::string text = error_of<UserError>([&] { read_text(page, ExitCode::kData); });
  EXPECT_TRUE(text.starts_with(page.string() + " became shorter while it was read: ")) << text;
}

// A mapping of such a file would end the process.
TEST(ReadText, OutlivesAFileThatIsCutOffAgainAndAgain) {
  const TempFolder folder;
  const fs::path path = folder / "a.jpg";
  const std::string whole(size_t{4} << 20, 'x');
  write_file(path, whole);
  std::atomic<bool> is_done = false;
  std::thread other([&] {
    while (!is_done) {
      fs::resize_file(path, 0);
      fs::resize_file(path, whole.size());
    }
  });
  for (int i = 0; i < 200; ++i) {
    try {
      const size_t size = read_text(path, ExitCode::kData).size();
      EXPECT_TRUE(size == 0 || size == whole.size()) << size;
    } catch (const UserError& e) {
      EXPECT_NE(std::string(e.what()).find("became shorter"), std::string::npos) << e.what();
    }
  }
  is_done = true;
  other.join();
}

TEST(ReadTextOrPipe, ReadsAPipeToItsEndAndAFile) {
  const TempFolder folder;
  const std::string text(300'000, 'y');
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  std::thread writer([&] {
    FileOps().write(ends[1], std::as_bytes(std::span(text)), "pipe");
    ::close(ends[1]);
  });
  const std::string name = "/dev/fd/" + std::to_string(ends[0]);
  EXPECT_EQ(read_text_or_pipe(name, ExitCode::kData), text);
  writer.join();
  ::close(ends[0]);
  write_file(folder / "a", "12345");
  EXPECT_EQ(read_text_or_pipe(folder / "a", ExitCode::kData), "12345");
  EXPECT_NE(error_of<UserError>([&] {
              read_text_or_pipe("/dev/zero", ExitCode::kData, 4);
            }).find("more than the 4 B"),
            std::string::npos);
}

TEST(MappedFile, IsAskedWhetherItBecameShorter) {
  const TempFolder folder;
  write_file(folder / "a", "12345");
  const MappedFile file(folder / "a", ExitCode::kCheckpoint);
  file.check_size();
  fs::resize_file(folder / "a", 2);
  EXPECT_EQ(error_of<UserError>([&] { file.check_size(); }),
            (folder / "a").string() + " became shorter while it was read: 2 bytes of 5");
  // What has taken its name is another file; the mapped one is as it was.
  write_file(folder / "b", "1");
  fs::rename(folder / "b", folder / "a");
  file.check_size();
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

TEST(FolderLock, IsNoLinkOfSomebodyElses) {
  const TempFolder folder;
  write_file(folder / "victim", "precious");
  fs::create_symlink("victim", folder / ".lock");
  EXPECT_NE(error_of<UsageError>([&] { FolderLock lock(folder.path()); }), "(nothing thrown)");
  EXPECT_EQ(read_file(folder / "victim"), "precious");
}

TEST(FolderLock, WaitsForTheHolderOrUntilItIsStopped) {
  const TempFolder folder;
  auto lock = std::make_unique<FolderLock>(folder.path());
  int asked = 0;
  const auto stopped = [&] { return ++asked == 3; };
  EXPECT_NE(error_of<Stopped>([&] { FolderLock second(folder.path(), stopped); }),
            "(nothing thrown)");
  const FolderLock third(folder.path(), [&] {
    lock.reset();  // the holder ends meanwhile
    return false;
  });
}

TEST(Checksum, IsXxh3OfTheBytes) {
  EXPECT_EQ(xxh3_128({}), "99aa06d3014798d86001c324468d497f");  // xxHash's own value for no bytes
}

}  // namespace
}  // namespace vit22b
