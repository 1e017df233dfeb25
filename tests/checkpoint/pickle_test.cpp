#include "checkpoint/container/pickle.h"

#include <gtest/gtest.h>

#include "support/files.h"
#include "support/pickles.h"

namespace vit22b {
namespace {

using namespace test::pickles;

Pickle read(const std::string& instructions) {
  const test::TempFolder folder;
  test::write_file(folder / "p", instructions);
  const auto file = open_file_bytes(folder / "p", ExitCode::kCheckpoint);
  PickleBytes bytes(*file, 0, file->size());
  return Pickle(bytes);
}

/// What is said of a pickle, from "the pickle" on.
std::string refusal(const std::string& instructions) {
  const std::string text = test::error_of<CheckpointError>([&] { read(instructions); });
  const size_t from = text.find("the pickle");
  return from == std::string::npos ? text : text.substr(from);
}

TEST(Pickle, WholeNumbersOfEveryWidthAreRead) {
  EXPECT_EQ(read(std::string("K\xff.", 3)).root().number, 255);
  EXPECT_EQ(read(std::string("M\xff\xff.", 4)).root().number, 65535);
  EXPECT_EQ(read(std::string("J\xfe\xff\xff\xff.", 6)).root().number, -2);
  EXPECT_EQ(read(std::string("\x8a\0.", 3)).root().number, 0);
  EXPECT_EQ(read(std::string("\x8a\x01\xff.", 4)).root().number, -1);
  EXPECT_EQ(read(std::string("\x8a\x03\0\0\x01.", 6)).root().number, 65536);
  EXPECT_EQ(read(whole(number(INT64_MIN))).root().number, INT64_MIN);
  EXPECT_EQ(read(std::string("\x8b\x02\0\0\0\x01\x80.", 8)).root().number, -32767);
}

TEST(Pickle, Protocol4sTextsMemoAndGlobalsAreRead) {
  const Pickle pickle = read("\x80\4\x95" + test::little(18, 8) + "\x8c\1m\x94\x8c\1n\x94\x93\x94" +
                             std::string("h\2h\1\x86.", 6));
  EXPECT_EQ(pickle.root().items[0]->text, "m.n");
  EXPECT_EQ(pickle.root().items[1]->text, "n");
}

TEST(Pickle, ObjectsAreWhatWouldHaveBeenMade) {
  const Pickle pickle =
      read(whole(object(global("argparse", "Namespace"), dict({{"lr", number(3)}}))));
  EXPECT_EQ(pickle.root().kind, PickleKind::kCall);
  EXPECT_EQ(pickle.root().callee(), "argparse.Namespace");
  EXPECT_EQ(pickle.root().state->find("lr")->number, 3);
}

TEST(Pickle, ItemsOfAnOrderedDictAreItsOwn) {
  const Pickle pickle = read(whole(ordered_dict({{"a", number(1)}, {"b", number(2)}})));
  EXPECT_EQ(pickle.root().find("b")->number, 2);
  EXPECT_EQ(pickle.root().find("c"), nullptr);
}

TEST(Pickle, AnObjectMayHoldItself) {
  const Pickle pickle = read("]q\1h\1a.");
  EXPECT_EQ(pickle.root().items[0], &pickle.root());
}

TEST(Pickle, DeepNestingNeedsNoStack) {
  EXPECT_EQ(read("\x80\2N" + std::string(1'000'000, '\x85') + ".").objects().size(), 1'000'001u);
}

TEST(Pickle, InstructionsWithoutTheirOperandsAreRefused) {
  EXPECT_EQ(refusal("."), "the pickle takes more than it has, by byte 1");
  EXPECT_EQ(refusal("N(0."), "the pickle takes more than it has, by byte 3");
  EXPECT_EQ(refusal("Nt."), "the pickle lacks a mark, by byte 2");
  EXPECT_EQ(refusal("}(Nu."), "the pickle has a key without a value, by byte 4");
  EXPECT_EQ(refusal("NNa."), "the pickle adds to what is no list, by byte 3");
  EXPECT_EQ(refusal("]NNs."), "the pickle sets an item of what is no dict, by byte 4");
  EXPECT_EQ(refusal("h\7."), "the pickle has nothing remembered as 7, by byte 2");
}

TEST(Pickle, UnknownInstructionsAreRefused) {
  EXPECT_EQ(refusal("\x80\2\x82\1."), "the pickle has the unknown instruction 130, by byte 3");
  EXPECT_EQ(refusal("\x80\7N."), "the pickle is of a protocol above 5, by byte 2");
}

TEST(Pickle, LengthsBeyondTheBytesAreRefused) {
  EXPECT_EQ(refusal("X" + test::little(0xFFFFFFF0, 4) + "abc."),
            "the pickle is cut short at byte 5");
  EXPECT_EQ(refusal("\x8d" + test::little(UINT64_MAX, 8) + "abc."),
            "the pickle is cut short at byte 9");
  EXPECT_EQ(refusal("cabc"), "the pickle is cut short at byte 4");
}

TEST(Pickle, NamesAndObjectsAreBounded) {
  EXPECT_EQ(refusal("c" + std::string(5000, 'x')),
            "the pickle has a name of more than 4096 bytes at byte 4098");
  EXPECT_EQ(refusal(text(std::string(5000, 'x')) + "2\x93."),
            "the pickle has a global of more than 4 KiB, by byte 5007");
  EXPECT_EQ(refusal(std::string((size_t{1} << 22) + 1, 'N')),
            "the pickle has more than 2^22 objects, by byte 4194305");
}

}  // namespace
}  // namespace vit22b
