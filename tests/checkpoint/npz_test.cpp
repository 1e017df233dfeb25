#include <gtest/gtest.h>

#include "checkpoint/container/containers.h"
#include "support/damage.h"
#include "support/files.h"
#include "support/oracle_container.h"
#include "support/zip_archive.h"

namespace vit22b {
namespace {

using test::bytes_of;
using test::npy;
using test::npy_header;
using test::TempFolder;
using test::zip_archive;
using test::ZipEntry;

TensorContainer opened(const TempFolder& folder, const std::string& bytes) {
  test::write_file(folder / "a.npz", bytes);
  return open_container(folder / "a.npz");
}

/// What is said of an archive, without its path.
std::string refusal(const std::string& bytes) {
  const TempFolder folder;
  const std::string text = test::error_of<CheckpointError>([&] { opened(folder, bytes); });
  const std::string path = (folder / "a.npz").string();
  return text.find(path) == 0 ? text.substr(path.size()) : text;
}

/// What is said of an array with this header and this many bytes.
std::string refusal_of_array(const std::string& header, size_t size = 12) {
  return refusal(zip_archive({{"a.npy", npy(header, std::string(size, 'x'))}}));
}

std::string three_floats() {
  return npy(npy_header("<f4", "(3,)"), bytes_of<float>({1, 2, 3}));
}

void expect_three_floats(const TensorContainer& container, const std::string& name) {
  EXPECT_TRUE(at::equal(container.load(name), at::tensor({1.F, 2.F, 3.F})));
}

TEST(Npz, HoldsWhatNumpyHasSaved) {
  test::expect_oracle("arrays.npz", "npz/");
}

TEST(Npz, HoldsWhatNumpyHasSavedPacked) {
  test::expect_oracle("packed.npz", "npz/");
}

TEST(Npz, NamesAreThePathsInTheArchive) {
  const TempFolder folder;
  const TensorContainer container =
      opened(folder, zip_archive({{"params/img/pos.npy", three_floats()}}));
  EXPECT_EQ(container.names(), std::vector<std::string>{"params/img/pos"});
  expect_three_floats(container, "params/img/pos");
}

TEST(Npz, HeadersOfAllThreeVersionsAreRead) {
  const TempFolder folder;
  for (const int version : {1, 2, 3}) {
    const std::string array = npy(npy_header("<f4", "(3,)"), bytes_of<float>({1, 2, 3}), version);
    expect_three_floats(opened(folder, zip_archive({{"a.npy", array}})), "a");
  }
  EXPECT_EQ(refusal(zip_archive({{"a.npy", npy(npy_header("<f4", "(3,)"), "", 4)}})),
            ": the array 'a' is no .npy array of version 1 to 3");
}

TEST(Npz, ArchivesInZip64AreRead) {
  const TempFolder folder;
  expect_three_floats(opened(folder, zip_archive({{"a.npy", three_floats()}}, {.is_zip64 = true})),
                      "a");
}

TEST(Npz, ArchivesWithACommentAreRead) {
  const TempFolder folder;
  expect_three_floats(
      opened(folder, zip_archive({{"a.npy", three_floats()}}, {.comment = "PK\5\6 comment"})), "a");
}

TEST(Npz, Python2sLongSidesAreRead) {
  const TempFolder folder;
  const std::string array = npy("{'shape': (3L,), \"descr\": '<f4', 'fortran_order': False}\n",
                                bytes_of<float>({1, 2, 3}));
  expect_three_floats(opened(folder, zip_archive({{"a.npy", array}})), "a");
}

TEST(Npz, FortransOrderIsGivenInCs) {
  const TempFolder folder;
  const std::string array =
      npy(npy_header("<f4", "(2, 3)", "True"), bytes_of<float>({1, 4, 2, 5, 3, 6}));
  for (const bool is_deflated : {false, true}) {
    const TensorContainer container = opened(folder, zip_archive({{"a.npy", array, is_deflated}}));
    EXPECT_TRUE(
        at::equal(container.load("a"), at::tensor({1.F, 2.F, 3.F, 4.F, 5.F, 6.F}).view({2, 3})));
  }
}

TEST(Npz, AnyPartOfAPackedArrayIsRead) {
  const TempFolder folder;
  std::vector<int32_t> values(100'003);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int32_t>(i * i);
  const TensorContainer container =
      opened(folder,
             zip_archive({{"a.npy", npy(npy_header("<i4", "(100003,)"), bytes_of(values)), true}}));
  for (const size_t first : {99'990, 70'000, 70'013, 0, 99'999}) {
    int32_t got[4];
    container.read("a", 4 * first, std::as_writable_bytes(std::span(got)));
    EXPECT_TRUE(std::equal(got, got + 4, values.begin() + static_cast<std::ptrdiff_t>(first)));
  }
}

TEST(Npz, ManyArraysAreOneFile) {
  const TempFolder folder;
  const TensorContainer container =
      opened(folder, zip_archive({{"a.npy", three_floats(), true}, {"b.npy", three_floats()}}));
  EXPECT_EQ(container.files(), std::vector<std::filesystem::path>{folder / "a.npz"});
}

TEST(Npz, NumbersOfOtherKindsAreRefusedByName) {
  EXPECT_EQ(refusal_of_array(npy_header(">f4", "(3,)")),
            ": the array 'a' is big-endian (dtype '>f4'), want '<f4'; save it by a.astype('<f4')");
  EXPECT_EQ(refusal_of_array(npy_header("|O", "(3,)")),
            ": the array 'a' holds Python objects (dtype '|O'), want numbers");
  EXPECT_EQ(refusal_of_array(npy_header("<U1", "(3,)")),
            ": the array 'a' holds text (dtype '<U1'), want numbers");
  EXPECT_EQ(refusal_of_array(npy_header("<c8", "(3,)")),
            ": the array 'a' has the unknown dtype '<c8'");
  EXPECT_EQ(refusal_of_array("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (3,)}"),
            ": the array 'a' is a structured array, want plain numbers");
}

TEST(Npz, SizesThatDoNotFitTheShapeAreRefused) {
  EXPECT_EQ(refusal_of_array(npy_header("<f4", "(3,)"), 8),
            ": the array 'a' has 8 bytes, its shape [3] needs 12");
  EXPECT_EQ(refusal_of_array(npy_header("<f4", "(4611686018427387904, 4)")),
            ": the array 'a' has a shape whose size overflows");
  EXPECT_EQ(refusal_of_array(npy_header("<f4", "(0, 4611686018427387904, 4)"), 0),
            ": the array 'a' has a shape whose size overflows");
}

TEST(Npz, DamagedHeadersAreRefused) {
  EXPECT_EQ(refusal_of_array("{'descr': '<f4', 'shape': (3,)}"),
            ": the array 'a': the .npy header lacks descr, fortran_order or shape");
  EXPECT_EQ(refusal_of_array("{'descr': '<f4', 'descr': '<f4'}"),
            ": the array 'a': the .npy header has the key 'descr' twice, or knows none such");
  EXPECT_EQ(refusal_of_array("{'fortran_order': 1}"),
            ": the array 'a': the .npy header has a fortran_order that is no bool");
  EXPECT_EQ(refusal_of_array("{'shape': (3, -1)}"),
            ": the array 'a': the .npy header has a shape that is no short list of sizes");
  EXPECT_EQ(refusal_of_array("{'descr"), ": the array 'a': the .npy header is cut short");
  EXPECT_EQ(refusal_of_array("[1]"),
            ": the array 'a': the .npy header has '[1]' where '{' is wanted");
}

TEST(Npz, MembersThatAreNoArraysAreRefused) {
  EXPECT_EQ(refusal(zip_archive({{"any/data.pkl", "x"}})),
            " holds 'any/data.pkl', want .npy arrays alone, as numpy.savez writes them; what "
            "torch.save writes is named .pt or .pth");
}

TEST(Npz, DamagedPackedBytesAreNamed) {
  const TempFolder folder;
  std::string noise;
  for (uint32_t i = 0, state = 1; i < 30'000; ++i, state = state * 1664525 + 1013904223)
    noise += static_cast<char>(state >> 24);
  std::string bytes = zip_archive({{"a.npy", npy(npy_header("|u1", "(30000,)"), noise), true}});
  for (size_t at = 10'000; at < 20'000; ++at) bytes[at] = static_cast<char>(0xFF);
  const TensorContainer container = opened(folder, bytes);
  const std::string said = test::error_of<CheckpointError>([&] { container.load("a"); });
  EXPECT_TRUE(said == "(nothing thrown)" ||
              said == (folder / "a.npz").string() +
                          ": the member 'a.npy' is damaged: its bytes cannot be unpacked" ||
              said.find("is cut short") != std::string::npos)
      << said;
}

TEST(Npz, WhatUnpacksToLessIsCutShort) {
  const TempFolder folder;
  ZipEntry entry{"a.npy", three_floats(), true};
  entry.bytes.resize(entry.bytes.size() - 4);
  entry.claimed_size = static_cast<int64_t>(entry.bytes.size() + 4);
  const TensorContainer container = opened(folder, zip_archive({entry}));
  EXPECT_NE(test::error_of<CheckpointError>([&] { container.load("a"); }).find("'a' is cut short"),
            std::string::npos);
}

TEST(Npz, SurvivesEveryCutAndManyByteFlipsWithoutACrash) {
  const TempFolder folder;
  test::expect_damage_is_refused(
      zip_archive({{"a.npy", three_floats()}, {"b.npy", three_floats(), true}}),
      [&](const std::string& bytes) { return opened(folder, bytes); }, test::load_all);
}

}  // namespace
}  // namespace vit22b
