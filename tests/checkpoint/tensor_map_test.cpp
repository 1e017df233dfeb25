#include "checkpoint/tensor_map.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "checkpoint/container/containers.h"
#include "checkpoint/container/safetensors_writer.h"
#include "checkpoint/import/importer.h"
#include "checkpoint/tensor_reader.h"
#include "core/checksum.h"
#include "core/error.h"
#include "support/files.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

using test::error_of;
using test::TempFolder;

ParameterRow row_of(const std::string& name, std::vector<int64_t> shape) {
  ParameterRow row;
  row.name = row.local_name = name;
  row.shape = std::move(shape);
  return row;
}

/// Another library's tensors: queries, keys and values apart, a kernel that lies the other way
/// round, and one that nobody wants.
struct Foreign {
  Foreign() {
    FileOps ops;
    write_safetensors(
        ops, file, {{"q", q}, {"k", k}, {"v", v}, {"kernel", kernel}, {"decoder", at::ones({2})}});
  }
  TensorReader reader(TensorMap map, const std::vector<ParameterRow>& table) const {
    return TensorReader(open_container(file), std::move(map), table);
  }

  TempFolder folder;
  const std::filesystem::path file = folder / "f.safetensors";
  at::Tensor q = at::randn({3, 5}), k = at::randn({3, 5}).to(at::kBFloat16),
             v = at::randn({3, 5}).to(at::kHalf), kernel = at::randn({2, 7});
};

/// What both ways of loading give: whole, and into memory of either type.
void expect_reads(const TensorReader& reader, const ParameterRow& row, const at::Tensor& want) {
  EXPECT_TRUE(test::is_same(reader.whole(row), want)) << row.name;
  at::Tensor rounded = at::empty(row.shape, at::kBFloat16);
  reader.read(row, rounded);
  EXPECT_TRUE(test::is_same(rounded, want.to(at::kBFloat16))) << row.name;
}

TEST(TensorMap, PiecesOfSeveralTensorsFillAParameterInOrder) {
  const Foreign f;
  const ParameterRow qkv = row_of("qkv", {9, 5});
  const TensorReader reader = f.reader(
      {{{"qkv", {{{"q", {3, 5}}, {"k", {3, 5}}, {"v", {3, 5}}}}}}, {"kernel", "decoder"}}, {qkv});
  expect_reads(reader, qkv, at::cat({f.q, f.k.to(at::kFloat), f.v.to(at::kFloat)}));
}

TEST(TensorMap, RowsOfATensorAreRead) {
  const Foreign f;
  const ParameterRow row = row_of("rows", {4, 5});
  TensorPiece first{"q", {3, 5}}, last{"q", {3, 5}};
  first.first_row = 1;
  first.num_rows = 2;
  last.num_rows = 2;
  const TensorReader reader =
      f.reader({{{"rows", {{first, last}}}}, {"k", "v", "kernel", "decoder"}}, {row});
  expect_reads(reader, row, at::cat({f.q.slice(0, 1, 3), f.q.slice(0, 0, 2)}));
}

TEST(TensorMap, PiecesAreChangedMadeAndAdded) {
  const Foreign f;
  const ParameterRow row = row_of("weight", {9, 2});
  TensorPiece turned{"kernel", {2, 7}};
  turned.change = [](const at::Tensor& rows) { return rows.t(); };
  TensorPiece zeros;
  zeros.make = [] { return at::zeros({2, 2}); };
  TensorPiece all{"", {}};
  all.make = [] { return at::arange(18).to(at::kFloat); };
  const TensorReader reader =
      f.reader({{{"weight", {{turned, zeros}, {all}}}}, {"q", "k", "v", "decoder"}}, {row});
  EXPECT_TRUE(test::is_same(
      reader.whole(row), at::cat({f.kernel.t(), at::zeros({2, 2})}) + at::arange(18).view({9, 2})));
}

TEST(TensorMap, AMapThatDoesNotFillItsParameterIsOurError) {
  const Foreign f;
  const ParameterRow row = row_of("weight", {6, 5});
  const TensorReader reader =
      f.reader({{{"weight", {{{"q", {3, 5}}}}}}, {"k", "v", "kernel", "decoder"}}, {row});
  EXPECT_NE(error_of<InternalError>([&] {
              reader.whole(row);
            }).find("the map fills 15 of 30 values of weight"),
            std::string::npos);
}

TEST(TensorMap, WhatNoParameterUsesIsAnErrorUnlessItIsLeftKnowingly) {
  const Foreign f;
  const ParameterRow row = row_of("q", {3, 5});
  EXPECT_EQ(error_of<CheckpointError>([&] {
              f.reader({{{"q", {{whole_tensor(row)}}}}, {"k", "v", "kernel"}}, {row});
            }),
            f.file.string() +
                ": tensor 'decoder' belongs to no parameter of the model that its config "
                "describes");
}

TEST(TensorMap, ASourceThatIsMissingOrMisshapenIsNamed) {
  const Foreign f;
  const ParameterRow row = row_of("w", {3, 5});
  const auto refusal = [&](const TensorPiece& piece) {
    const TensorReader reader =
        f.reader({{{"w", {{piece}}}}, {"q", "k", "v", "kernel", "decoder"}}, {row});
    EXPECT_EQ(error_of<CheckpointError>([&] { reader.check_all(); }),
              error_of<CheckpointError>([&] { reader.whole(row); }));
    return error_of<CheckpointError>([&] { reader.whole(row); });
  };
  EXPECT_EQ(refusal({"kernels", {3, 5}}),
            f.file.string() + ": tensor 'kernels' is missing (did you mean 'kernel'?)");
  EXPECT_NE(refusal({"kernel", {3, 5}}).find("has shape [2, 7], the model has [3, 5]"),
            std::string::npos);
}

TEST(TensorMap, APartOfADamagedTensorIsNotTaken) {
  const Foreign f;
  TensorContainer files = open_container(f.file);
  files.expect_hash("q", xxh3_128(std::as_bytes(std::span(f.q.data_ptr<float>(), 15))));
  const StoredTensor stored = files.tensor("q");
  const ParameterRow row = row_of("w", {1, 5});
  TensorPiece first{"q", {3, 5}};
  first.num_rows = 1;
  const auto read = [&](TensorContainer opened) {
    return TensorReader(std::move(opened),
                        {{{"w", {{first}}}}, {"q", "k", "v", "kernel", "decoder"}}, {row})
        .whole(row);
  };
  EXPECT_TRUE(test::is_same(read(std::move(files)), f.q.slice(0, 0, 1)));
  {  // behind the part that is taken
    std::fstream stream(f.file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(static_cast<std::streamoff>(stored.offset + stored.size_bytes() - 1));
    stream.put('\x5a');
  }
  TensorContainer damaged = open_container(f.file);
  damaged.expect_hash("q", stored.hash);
  EXPECT_NE(error_of<CheckpointError>([&] {
              read(std::move(damaged));
            }).find("tensor 'q' is damaged: its hash differs"),
            std::string::npos);
}

TEST(Containers, AreKnownByTheirEndings) {
  const TempFolder folder;
  EXPECT_EQ(error_of<CheckpointError>([&] { open_container(folder / "weights.h5"); }),
            (folder / "weights.h5").string() +
                " is no file of weights: want a name that ends in .safetensors.index.json or "
                ".bin.index.json or .safetensors or .npz or .pt or .pth or .bin or .ckpt or "
                ".pth.tar or .pt.tar");
}

TEST(Importers, AreFoundByWhatTheConfigSaysOrByName) {
  CheckpointPath checkpoint("somewhere");
  const auto found = [&](const char* config) {
    return std::string(
        importer_of({checkpoint, nlohmann::ordered_json::parse(config), "config.json"}).name);
  };
  EXPECT_EQ(found("{\"architecture\":\"a\",\"vit22b\":{}}"), "vit22b");
  EXPECT_EQ(found("{\"architecture\":\"a\"}"), "timm");
  EXPECT_EQ(found("{\"model_type\":\"dinov3_vit\"}"), "hf_dinov3");
  EXPECT_NE(error_of<CheckpointError>([&] {
              found("{}");
            }).find("config.json is of no family that is known: vit22b, timm, hf_vit"),
            std::string::npos);
  checkpoint.importer = "timm";
  EXPECT_EQ(found("{\"architecture\":\"a\",\"vit22b\":{}}"), "timm");
  checkpoint.importer = "tim";
  EXPECT_NE(error_of<CheckpointError>([&] { found("{}"); })
                .find("config.json: there is no importer 'tim' (did you mean 'timm'?); there are "
                      "vit22b, timm, "),
            std::string::npos);
}

}  // namespace
}  // namespace vit22b
