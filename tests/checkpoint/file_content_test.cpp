#include <gtest/gtest.h>

#include "checkpoint/container/containers.h"
#include "support/files.h"
#include "support/zip_archive.h"

namespace vit22b {
namespace {

/// What is said of a file of that name, without its path.
std::string refusal(const std::string& name, const std::string& bytes) {
  const test::TempFolder folder;
  test::write_file(folder / name, bytes);
  const std::string text = test::error_of<CheckpointError>([&] { open_container(folder / name); });
  const std::string path = (folder / name).string();
  return text.find(path) == 0 ? text.substr(path.size()) : text;
}

const std::vector<std::string>& names() {
  static const std::vector<std::string> kNames = {"a.safetensors",
                                                  "a.npz",
                                                  "a.pt",
                                                  "a.pth",
                                                  "a.bin",
                                                  "a.ckpt",
                                                  "a.pth.tar",
                                                  "a.pt.tar",
                                                  "a.bin.index.json",
                                                  "a.safetensors.index.json"};
  return kNames;
}

std::string safetensors() {
  return test::little(2, 8) + "{}";
}

TEST(FileContent, AGitLfsPointerIsNamed) {
  for (const std::string& name : names())
    EXPECT_EQ(refusal(name, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
              " is a git-lfs pointer, not the file: run git lfs pull")
        << name;
}

TEST(FileContent, AWebPageIsNamed) {
  for (const std::string& name : names())
    for (const char* page : {"<!DOCTYPE html>\n<title>x", "\n <html lang=en>"})
      EXPECT_EQ(refusal(name, page),
                " is a web page, not the file: download the file itself (on Hugging Face from "
                ".../resolve/..., not .../blob/...)")
          << name;
}

TEST(FileContent, AServersErrorIsNamed) {
  EXPECT_EQ(refusal("a.pt", "<?xml version=\"1.0\"?><Error>"),
            " is XML, as of a server's error, not the file (<?xml version=\"1.0\"?><Error>): "
            "download it again");
  EXPECT_EQ(refusal("a.safetensors", "{\"error\":\"Repository not found\"}"),
            " is a JSON text ({\"error\":\"Repository not found\"}), but its ending is that of a "
            "safetensors file; give it the ending of what it is, or download it again");
  EXPECT_EQ(refusal("a.bin", "Entry not found"),
            " is a text (Entry not found), but its ending is that of a file of torch.save's; give "
            "it the ending of what it is, or download it again");
}

TEST(FileContent, AnotherFormatThanTheEndingSaysIsRefusedNamingBoth) {
  const std::string hint = "; give it the ending of what it is, or download it again";
  EXPECT_EQ(refusal("a.bin", safetensors()),
            " is a safetensors file, but its ending is that of a file of torch.save's" + hint);
  EXPECT_EQ(refusal("a.safetensors", test::zip_archive({{"a", "b"}})),
            " is a zip archive, but its ending is that of a safetensors file" + hint);
  EXPECT_EQ(refusal("a.npz", "\x93NUMPY"),
            " is a single .npy array, but its ending is that of a zip archive of arrays" + hint);
  EXPECT_EQ(refusal("a.pth.tar", std::string(257, '\0').append("ustar")),
            " is a tar archive, but its ending is that of a file of torch.save's" + hint);
  EXPECT_EQ(refusal("a.pt", "\x80\4N."),
            " is a pickle that torch.save has not written, but its ending is that of a file of "
            "torch.save's" +
                hint);
}

TEST(FileContent, EveryEndingIsTaken) {
  for (const std::string& name : names()) EXPECT_TRUE(has_container_ending(name)) << name;
  for (const char* name : {"a.tar", "a.json", "pt", "a.npy"})
    EXPECT_FALSE(has_container_ending(name)) << name;
}

TEST(FileContent, AnEmptyFileIsNoFileOfWeights) {
  EXPECT_EQ(refusal("a.pt", ""),
            " is no file of torch.save's: want a zip archive, or the stream "
            "that torch before 1.6 wrote");
  EXPECT_EQ(refusal("a.npz", ""),
            ": the zip archive has no directory at its end; the file is cut short");
  EXPECT_EQ(refusal("a.safetensors", ""), " has 0 bytes, too short for a safetensors file");
}

}  // namespace
}  // namespace vit22b
