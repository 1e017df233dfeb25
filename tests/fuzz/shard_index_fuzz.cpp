#include <ATen/ATen.h>

#include "checkpoint/weights.h"
#include "fuzz/input.h"

namespace {

vit22b::ParameterRow row_of(const std::string& name) {
  vit22b::ParameterRow row;
  row.name = row.local_name = name;
  row.shape = {3};
  return row;
}

}  // namespace

// model.safetensors.index.json, one shard of the two that it may name, and some parameters.
// readers: checkpoint/weights.cpp checkpoint/safetensors.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vit22b;
  static const fuzz::Folder folder;
  static FileOps ops;
  static const auto other = write_safetensors(ops, folder.path() / "b", {{"b", at::zeros({3})}});
  const auto [index, shard] = fuzz::files_of<2>(fuzz::text_of(data, size));
  folder.write("model.safetensors.index.json", index);
  folder.write("a", shard);
  return fuzz::read([&] {
    const WeightFiles files(folder.path());
    for (const std::string& name : files.names()) files.load(name);
    weights_identity(folder.path());
    const std::vector<ParameterRow> table = {row_of("a"), row_of("b"), row_of("mlp_out_proj.bias")};
    for (const ParameterRow& row : table) fuzz::read([&] { load_weight(files, row); });
    fuzz::read([&] { load_weights({folder.path(), "a"}, table); });
    check_no_extra(files, table);
  });
}
