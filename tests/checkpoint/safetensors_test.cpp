#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstring>

#include "checkpoint/container/safetensors_file.h"
#include "checkpoint/container/safetensors_writer.h"
#include "support/damage.h"
#include "support/files.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

using test::error_of;
using test::TempFolder;
using test::write_file;

std::string with_header(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::string text(8, '\0');
  std::memcpy(text.data(), &length, 8);
  return text + header + std::string(data_bytes, 'x');
}

/// The refusal of a file with this header and this many data bytes, without its path.
std::string refusal(const std::string& header, size_t data_bytes) {
  const TempFolder folder;
  write_file(folder / "f", with_header(header, data_bytes));
  std::string text = error_of<CheckpointError>([&] { SafetensorsFile file(folder / "f"); });
  const size_t path = text.find((folder / "f").string());
  return path == 0 ? text.substr((folder / "f").string().size()) : text;
}

TEST(Safetensors, RoundTripsEveryDtypeAndOddShape) {
  const TempFolder folder;
  TensorList tensors;
  for (const auto dtype : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt,
                           at::kShort, at::kChar, at::kByte, at::kBool})
    tensors.emplace_back(concat("t", static_cast<int>(dtype)),
                         at::randint(0, 2, {3, 1, 7}).to(dtype));
  tensors.emplace_back("scalar", at::scalar_tensor(2.5, at::kFloat));
  tensors.emplace_back("empty", at::zeros({0, 4}));
  FileOps ops;
  write_safetensors(ops, folder / "f", tensors, {{"key", "value"}});
  const SafetensorsFile file(folder / "f");
  EXPECT_EQ(file.metadata().at("key"), "value");
  for (const auto& [name, tensor] : tensors)
    EXPECT_TRUE(test::is_same(file.load(name), tensor)) << name;
}

TEST(Safetensors, SidesBesideAZeroHaveToFit) {
  EXPECT_EQ(refusal(R"({"a":{"dtype":"F32","shape":[0,4611686018427387904,3],)"
                    R"("data_offsets":[0,0]}})",
                    0),
            ": tensor 'a' has a shape whose size overflows");
}

TEST(Safetensors, DataStartsAtAMultipleOf64) {
  const TempFolder folder;
  FileOps ops;
  write_safetensors(ops, folder / "f", {{"a", at::zeros({3})}});
  EXPECT_EQ(SafetensorsFile(folder / "f").header().size() % 64, 0u);
}

TEST(Safetensors, ReadsTheReferenceWriter) {
  const SafetensorsFile file(test::source_path("tests/oracle/images.safetensors"));
  EXPECT_EQ(file.entry("37x53/input").shape, (std::vector<int64_t>{37, 53, 3}));
  EXPECT_EQ(file.metadata().count("pillow"), 1u);
}

TEST(Safetensors, RejectsOverlapNamingBothTensors) {
  EXPECT_EQ(
      refusal(
          R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
          6),
      ": tensors 'a' and 'b' overlap");
}

TEST(Safetensors, RejectsHolesAndTrailingBytes) {
  EXPECT_EQ(refusal(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[1,5]}})", 5),
            ": 1 bytes before tensor 'a' belong to none");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 7),
            ": 3 bytes after the last tensor belong to none");
}

TEST(Safetensors, RejectsRangesBeyondTheFile) {
  EXPECT_EQ(refusal(R"({"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}})", 4),
            ": tensor 'a' lies at bytes 0 to 9 of 4; the file is cut short");
}

TEST(Safetensors, RejectsSizesThatDoNotFitTheShape) {
  EXPECT_EQ(refusal(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4),
            ": tensor 'a' has 4 bytes, its shape [2] needs 8");
}

TEST(Safetensors, RejectsShapesThatOverflow) {
  EXPECT_EQ(
      refusal(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", 0),
      ": tensor 'a' has a shape whose size overflows");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}})", 0),
            ": tensor 'a' has a shape with something other than sizes");
}

TEST(Safetensors, RejectsDuplicateNamesUnknownDtypesAndBrokenJson) {
  const std::string entry = R"({"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  EXPECT_EQ(refusal("{\"a\":" + entry + ",\"a\":" + entry + "}", 0),
            ": the header names 'a' twice");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"F8","shape":[0],"data_offsets":[0,0]}})", 0),
            ": tensor 'a' has the unknown dtype \"F8\"");
  EXPECT_NE(refusal("{\"a\":", 0).find("no valid JSON"), std::string::npos);
  EXPECT_NE(refusal(std::string(5000, '['), 0).find("nested too deeply"), std::string::npos);
  EXPECT_NE(refusal("[]", 0).find("no JSON object"), std::string::npos);
}

TEST(Safetensors, RejectsFilesTooShortForTheirHeader) {
  const TempFolder folder;
  write_file(folder / "f", "abc");
  EXPECT_NE(
      error_of<CheckpointError>([&] { SafetensorsFile file(folder / "f"); }).find("too short"),
      std::string::npos);
  write_file(folder / "f", std::string("\xff\xff\xff\x7f\0\0\0\0{}", 10));
  EXPECT_NE(error_of<CheckpointError>([&] {
              SafetensorsFile file(folder / "f");
            }).find("the header claims 2147483647 bytes"),
            std::string::npos);
}

TEST(Safetensors, MissingTensorNamesTheNearest) {
  const TempFolder folder;
  FileOps ops;
  write_safetensors(ops, folder / "f", {{"head.weight", at::zeros({1})}});
  EXPECT_NE(error_of<CheckpointError>([&] {
              SafetensorsFile(folder / "f").load("head.weigth");
            }).find("did you mean 'head.weight'?"),
            std::string::npos);
}

TEST(Safetensors, SurvivesEveryCutAndManyByteFlipsWithoutACrash) {
  const TempFolder folder;
  FileOps ops;
  write_safetensors(ops, folder / "f",
                    {{"a", at::arange(5, at::kFloat)}, {"b", at::arange(3, at::kLong)}});
  test::expect_damage_is_refused(
      test::read_file(folder / "f"),
      [&](const std::string& bytes) {
        write_file(folder / "g", bytes);
        return SafetensorsFile(folder / "g");
      },
      [](const SafetensorsFile&) {});
}

}  // namespace
}  // namespace vit22b
