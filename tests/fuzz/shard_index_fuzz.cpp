#include <ATen/ATen.h>

#include <nlohmann/json.hpp>

#include "checkpoint/container/safetensors_writer.h"
#include "checkpoint/import/importer.h"
#include "checkpoint/tensor_reader.h"
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
// readers: checkpoint/weights.cpp checkpoint/container/shards.cpp
// checkpoint/container/safetensors.cpp checkpoint/container/tensor_container.cpp
// checkpoint/container/safetensors_header.cpp checkpoint/tensor_map.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vit22b;
  static const fuzz::Folder folder;
  static FileOps ops;
  static const auto other =
      write_safetensors(ops, folder.path() / "b.safetensors", {{"b", at::zeros({3})}});
  const auto [index, shard] = fuzz::files_of<2>(fuzz::text_of(data, size));
  folder.write("model.safetensors.index.json", index);
  folder.write("a.safetensors", shard);
  return fuzz::read([&] {
    const TensorContainer files = open_weights(folder.path());
    for (const std::string& name : files.names()) files.load(name);
    weights_identity(folder.path());
    const std::vector<ParameterRow> table = {row_of("a"), row_of("b"), row_of("mlp_out_proj.bias")};
    const CheckpointPath place(folder.path());
    const auto config = nlohmann::ordered_json::object();
    const TensorMap map = map_own({place, config, ""}, table, files);
    const TensorReader reader(open_weights(folder.path()), map, table);
    for (const ParameterRow& row : table) fuzz::read([&] { reader.whole(row); });
    reader.check_all();
  });
}
