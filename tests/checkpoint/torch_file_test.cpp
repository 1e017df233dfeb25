#include <gtest/gtest.h>

#include "checkpoint/container/containers.h"
#include "support/damage.h"
#include "support/files.h"
#include "support/oracle_container.h"
#include "support/pickles.h"

namespace vit22b {
namespace {

using namespace test::pickles;
using test::bytes_of;
using test::TempFolder;
using test::zip_archive;

const std::string& six_floats() {
  static const std::string kBytes = bytes_of<float>({0, 1, 2, 3, 4, 5});
  return kBytes;
}

TensorContainer opened(const TempFolder& folder, const std::string& bytes) {
  test::write_file(folder / "a.pt", bytes);
  return open_container(folder / "a.pt");
}

/// What is said of a file, without its path.
std::string refusal(const std::string& bytes) {
  const TempFolder folder;
  const std::string text = test::error_of<CheckpointError>([&] { opened(folder, bytes); });
  const std::string path = (folder / "a.pt").string();
  return text.find(path) == 0 ? text.substr(path.size()) : text;
}

/// What is said of the view 'w' of six floats.
std::string refusal_of_view(const View& view) {
  const std::string w = tensor(storage("FloatStorage", "0", 6), view);
  return refusal(archive(dict({{"w", w}}), {{"0", six_floats()}}));
}

/// A view of six floats that are 0 to 5.
at::Tensor loaded_view(const View& view) {
  const TempFolder folder;
  const std::string w = tensor(storage("FloatStorage", "0", 6), view);
  return opened(folder, archive(dict({{"w", w}}), {{"0", six_floats()}})).load("w");
}

TEST(TorchFile, HoldsWhatTorchHasSaved) {
  test::expect_oracle("zip.pth", "torch/");
}
TEST(TorchFile, HoldsWhatTorchHasSavedByProtocol4) {
  test::expect_oracle("protocol4.pth", "torch/");
}
TEST(TorchFile, HoldsWhatTorchBefore16HasSaved) {
  test::expect_oracle("stream.pth", "torch/");
}
TEST(TorchFile, HoldsATorchScriptModulesTensors) {
  test::expect_oracle("script.pt", "script/");
}

TEST(TorchFile, SaysWhatOfAFileTheTensorsAre) {
  const auto folder = test::source_path("tests/oracle/containers");
  EXPECT_EQ(open_container(folder / "zip.pth").part(), "its 'model', names without 'module.'");
  EXPECT_EQ(open_container(folder / "script.pt").part(), "its TorchScript module");
}

TEST(TorchFile, ViewsOfOneStorageAreRangesOfTheFile) {
  const TempFolder folder;
  const std::string six = storage("FloatStorage", "0", 6);
  const TensorContainer container = opened(
      folder,
      archive(dict({{"all", tensor(six, {0, {6}, {1}})}, {"end", tensor(six, {4, {2}, {1}})}}),
              {{"0", six_floats()}}));
  EXPECT_EQ(container.tensor("end").store, container.tensor("all").store);
  EXPECT_EQ(container.tensor("end").offset, container.tensor("all").offset + 16);
}

TEST(TorchFile, ViewsOfAnyStridesAreGivenInCOrder) {
  const at::Tensor six = at::arange(6, at::kFloat);
  EXPECT_TRUE(at::equal(loaded_view({0, {3, 2}, {1, 3}}), six.view({2, 3}).t()));
  EXPECT_TRUE(at::equal(loaded_view({1, {2, 2}, {3, 1}}), six.view({2, 3}).narrow(1, 1, 2)));
  EXPECT_TRUE(at::equal(loaded_view({2, {2, 3}, {1, 0}}),
                        at::tensor({2.F, 2.F, 2.F, 3.F, 3.F, 3.F}).view({2, 3})));
  EXPECT_TRUE(at::equal(loaded_view({5, {}, {}}), at::scalar_tensor(5.F)));
  EXPECT_EQ(loaded_view({6, {0, 4}, {4, 1}}).sizes(), at::IntArrayRef({0, 4}));
}

TEST(TorchFile, AnyBytesOfAStridedViewAreRead) {
  const TempFolder folder;
  const std::string w = tensor(storage("FloatStorage", "0", 6), {0, {3, 2}, {1, 3}});
  const TensorContainer container =
      opened(folder, archive(dict({{"w", w}}), {{"0", six_floats()}}));
  const at::Tensor whole = container.load("w");
  const auto* const bytes = static_cast<const char*>(whole.const_data_ptr());
  for (size_t first = 0; first < 24; ++first) {
    std::string part(24 - first, '\0');
    container.read("w", first, std::as_writable_bytes(std::span(part)));
    EXPECT_EQ(part, std::string(bytes + first, 24 - first)) << first;
  }
}

TEST(TorchFile, ViewsThatReachOutOfTheirStorageAreRefused) {
  EXPECT_EQ(refusal_of_view({1, {6}, {1}}),
            ": tensor 'w' of shape [6] reaches out of its storage of 6 elements");
  EXPECT_EQ(refusal_of_view({0, {2, 2}, {5, 1}}),
            ": tensor 'w' of shape [2, 2] reaches out of its storage of 6 elements");
  EXPECT_EQ(refusal_of_view({-1, {2}, {1}}),
            ": tensor 'w' of shape [2] reaches out of its storage of 6 elements");
  EXPECT_EQ(refusal_of_view({0, {3, 3}, {int64_t{1} << 62, 1}}),
            ": tensor 'w' of shape [3, 3] reaches out of its storage of 6 elements");
}

TEST(TorchFile, ShapesAndStridesThatAreNoneAreRefused) {
  EXPECT_EQ(refusal_of_view({0, {2, 3}, {1}}), ": tensor 'w' has 2 sizes and 1 strides");
  EXPECT_EQ(refusal_of_view({0, {-2}, {1}}),
            ": tensor 'w' has a shape or strides that are no short list of sizes");
  EXPECT_EQ(refusal_of_view({0, {2}, {-1}}),
            ": tensor 'w' has a shape or strides that are no short list of sizes");
}

TEST(TorchFile, RepeatedElementsAreBounded) {
  EXPECT_EQ(refusal_of_view({0, {int64_t{1} << 62, 4}, {0, 0}}),
            ": tensor 'w' has a shape whose size overflows");
  EXPECT_EQ(
      refusal_of_view({0, {int64_t{1} << 40}, {0}}),
      ": tensor 'w' repeats 4 bytes as 4398046511104, want at most 64 MiB of such; save a copy "
      "of it (clone)");
}

TEST(TorchFile, AStorageOfAnotherSizeThanItsMemberIsRefused) {
  EXPECT_EQ(
      refusal(archive(dict({{"w", floats("0", 6)}}), {{"0", six_floats().substr(4)}})),
      ": tensor 'w' has a storage of 6 elements, of which 20 bytes are in the file; it is cut "
      "short");
}

TEST(TorchFile, AMissingStorageIsNamed) {
  EXPECT_EQ(refusal(archive(dict({{"w", floats("1", 6)}}), {{"0", six_floats()}})),
            ": tensor 'w' lies in the storage '1', which the file has not; it is cut short");
}

TEST(TorchFile, UnknownDtypesAreRefused) {
  EXPECT_EQ(refusal(archive(dict({{"w", tensor(storage("QInt8Storage", "0", 6), {0, {6}, {1}})}}),
                            {{"0", six_floats()}})),
            ": tensor 'w' has a storage of the unknown type torch.QInt8Storage");
  EXPECT_EQ(
      refusal(archive(dict({{"w", tensor(storage("ComplexFloatStorage", "0", 3), {0, {3}, {1}})}}),
                      {{"0", six_floats()}})),
      ": tensor 'w' is of complex numbers, which are not read here");
}

TEST(TorchFile, TensorsOfOtherKindsAreRefusedByName) {
  const std::string sparse = call(global("torch._utils", "_rebuild_sparse_tensor"), tuple({}));
  EXPECT_EQ(refusal(archive(dict({{"w", sparse}}), {})),
            ": tensor 'w' is made by torch._utils._rebuild_sparse_tensor, which is not read here; "
            "want a dense tensor");
}

TEST(TorchFile, TensorsOfUntypedStoragesHaveTheDtypeThatTheySay) {
  const TempFolder folder;
  const std::string untyped = tuple({text("storage"), global("torch.storage", "UntypedStorage"),
                                     text("0"), text("cpu"), number(24)}) +
                              "Q";
  const std::string w = call(global("torch._utils", "_rebuild_tensor_v3"),
                             tuple({untyped, number(2), numbers({3}), numbers({1}), "\x89", "N",
                                    global("torch", "float32")}));
  EXPECT_TRUE(at::equal(opened(folder, archive(dict({{"w", w}}), {{"0", six_floats()}})).load("w"),
                        at::tensor({2.F, 3.F, 4.F})));
}

TEST(TorchFile, CallsAreNeverMade) {
  const std::string attack = call(global("posix", "system"), tuple({text("touch /tmp/pwned")}));
  EXPECT_EQ(refusal(archive(attack, {})),
            " is no state dict: holds a posix.system call (nothing was executed)");
  EXPECT_EQ(refusal(stream(attack, {})),
            " is no state dict: holds a posix.system call (nothing was executed)");
  const TempFolder folder;
  const TensorContainer container =
      opened(folder, archive(dict({{"w", floats("0", 6)}, {"x", attack}, {"v", floats("0", 6)}}),
                             {{"0", six_floats()}}));
  EXPECT_EQ(container.names(), (std::vector<std::string>{"v", "w"}));
}

TEST(TorchFile, BigEndianFilesAreRefused) {
  EXPECT_EQ(refusal(zip_archive({{"any/data.pkl", whole("}")}, {"any/byteorder", "big"}})),
            " is of the byte order 'big', want 'little'; save it on another machine");
  EXPECT_EQ(refusal(stream("}", {}, "\x89")),
            " is big-endian, want little; save it on another machine");
}

TEST(TorchFile, ArchivesWithoutAPickleAreRefused) {
  EXPECT_EQ(refusal(zip_archive({{"a.npy", "x"}})),
            " holds no data.pkl, want an archive of torch.save or torch.jit.save; what numpy.savez "
            "writes is named .npz");
  EXPECT_EQ(refusal(zip_archive({{"a/data.pkl", "x"}, {"b/data.pkl", "x"}})),
            " holds both a/data.pkl and b/data.pkl");
}

TEST(TorchFile, PackedStoragesAreRefused) {
  EXPECT_EQ(
      refusal(zip_archive({{"any/data.pkl", whole("}")}, {"any/data/0", six_floats(), true}})),
      ": the storage any/data/0 is packed, want it as torch.save writes it");
}

TEST(TorchFile, APackedPickleIsRead) {
  const TempFolder folder;
  const TensorContainer container =
      opened(folder, zip_archive({{"any/data.pkl", whole(dict({{"w", floats("0", 6)}})), true},
                                  {"any/data/0", six_floats()}}));
  EXPECT_TRUE(at::equal(container.load("w"), at::arange(6, at::kFloat)));
}

TEST(TorchFile, ArchivesInZip64AreRead) {
  const TempFolder folder;
  const TensorContainer container =
      opened(folder, zip_archive({{"any/data.pkl", whole(dict({{"w", floats("0", 6)}}))},
                                  {"any/data/0", six_floats()}},
                                 {.is_zip64 = true}));
  EXPECT_TRUE(at::equal(container.load("w"), at::arange(6, at::kFloat)));
}

TEST(TorchFile, StreamsOfAViewsOwnKeyAreRead) {
  const TempFolder folder;
  const std::string part =
      tuple({text("storage"), global("torch.cuda", "FloatStorage"), text("7"), text("cuda:0"),
             number(6), tuple({text("8"), number(2), number(3)})}) +
      "Q";
  const std::string w = tensor(part, {1, {2}, {1}});
  EXPECT_TRUE(
      at::equal(opened(folder, stream(dict({{"w", w}}), {{"7", 6, six_floats()}})).load("w"),
                at::tensor({3.F, 4.F})));
  EXPECT_EQ(refusal(stream(dict({{"w", tensor(part, {2, {2}, {1}})}}), {{"7", 6, six_floats()}})),
            ": tensor 'w' of shape [2] reaches out of its storage of 3 elements");
}

TEST(TorchFile, StreamsWhoseStoragesDisagreeAreRefused) {
  const std::string object = dict({{"w", floats("7", 6)}});
  EXPECT_EQ(refusal(stream(object, {{"7", 5, six_floats()}})),
            " has 5 elements in the storage '7', want 6");
  EXPECT_EQ(refusal(stream(object, {{"7", 6, six_floats().substr(1)}})),
            " ends within the storage '7' of 6 elements; it is cut short");
  EXPECT_EQ(refusal(stream(object, {{"9", 6, six_floats()}})),
            " has the storage '9', which nothing uses");
  EXPECT_EQ(refusal(stream(object, {})),
            ": tensor 'w' lies in the storage '7', which the file has not; it is cut short");
}

TEST(TorchFile, ShardsAreReadByTheirIndex) {
  const TempFolder folder;
  test::write_file(folder / "pytorch_model.bin.index.json",
                   "{\"weight_map\":{\"a\":\"one.bin\",\"b\":\"two.bin\"}}");
  test::write_file(folder / "one.bin",
                   archive(dict({{"a", floats("0", 6)}}), {{"0", six_floats()}}));
  test::write_file(folder / "two.bin",
                   archive(dict({{"b", floats("0", 6)}}), {{"0", six_floats()}}));
  const TensorContainer container = open_container(folder / "pytorch_model.bin.index.json");
  for (const std::string name : {"a", "b"})
    EXPECT_TRUE(at::equal(container.load(name), at::arange(6, at::kFloat))) << name;
}

TEST(TorchFile, AnIndexThatNamesAnIndexIsRefused) {
  const TempFolder folder;
  const auto index = folder / "pytorch_model.bin.index.json";
  test::write_file(index, "{\"weight_map\":{\"a\":\"pytorch_model.bin.index.json\"}}");
  EXPECT_EQ(test::error_of<CheckpointError>([&] { open_container(index); }),
            index.string() + ": 'pytorch_model.bin.index.json' is no plain name of a shard");
}

TEST(TorchFile, SurvivesEveryCutAndManyByteFlipsWithoutACrash) {
  const std::string w = tensor(storage("FloatStorage", "0", 6), {0, {3, 2}, {1, 3}});
  const std::string state = dict({{"epoch", number(3)}, {"model", ordered_dict({{"w", w}})}});
  const TempFolder folder;
  for (const std::string& whole :
       {archive(state, {{"0", six_floats()}}), stream(state, {{"0", 6, six_floats()}})})
    test::expect_damage_is_refused(
        whole, [&](const std::string& bytes) { return opened(folder, bytes); }, test::load_all);
}

}  // namespace
}  // namespace vit22b
