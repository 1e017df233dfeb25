#include "checkpoint/import/own.h"
#include "checkpoint/model_writer.h"
#include "checkpoint/tensor_reader.h"
#include "checkpoint/text_side.h"
#include "fuzz/input.h"
#include "fuzz/tensors.h"

// A checkpoint folder: config.json, ours or another library's, beside weights, which depth, widths
// and image size are read from; and the weights by the shapes that it announces, whole and a tensor
// at a time. What is whole is written in shards and read again; then its text tower is read, where
// it has one. readers: checkpoint/text_side.cpp checkpoint/model_info.cpp
// checkpoint/model_writer.cpp checkpoint/weights.cpp checkpoint/tensor_reader.cpp
// checkpoint/import/registry.cpp checkpoint/import/own.cpp checkpoint/import/timm.cpp
// checkpoint/import/timm_map.cpp checkpoint/import/timm_args.cpp
// checkpoint/import/timm_preprocessing.cpp checkpoint/import/timm_registry.cpp
// checkpoint/import/renamed.cpp checkpoint/import/shapes.cpp checkpoint/import/hf.cpp
// checkpoint/import/hf_*.cpp checkpoint/import/open_clip.cpp checkpoint/import/state_dicts.cpp
// checkpoint/import/clip_words.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vit22b;
  static const fuzz::Folder folder;
  static FileOps ops;
  const auto files = fuzz::files_of<2>(fuzz::text_of(data, size));
  const auto& [config, weights] = files;
  folder.write("config.json", config);
  folder.write("model.safetensors", weights);
  return fuzz::read([&] {
    const ModelInfo info = read_model_info(folder.path());
    // What was read can be written, and is read the same.
    folder.write("config.json", model_info_text(info));
    const std::string again = model_info_text(read_model_info(folder.path()));
    VIT22B_CHECK(again == model_info_text(info), "config.json changes where it is written again");
    folder.write("config.json", files[0]);  // whose names the weights have
    default_pp_eval(info.config);
    model_fingerprint(folder.path());

    const std::vector<ParameterRow> table = parameter_table(info.config);
    const NamedTensors loaded = load_weights(folder.path(), table);
    NamedTensors streamed;
    TensorReader reader(folder.path(), table);
    for (const ParameterRow& row : table)
      reader.read(row, streamed[row.name] = at::empty(row.shape));
    fuzz::check_same(loaded, streamed, fuzz::has_same_numbers);
    const std::filesystem::path copy = folder.path() / "copy";
    ops.remove_all(copy);
    ops.make_folder(copy);
    constexpr int64_t kShardBytes = 64;
    Manifest manifest;
    const auto whole = [&](const ParameterRow& row) { return loaded.at(row.name); };
    write_model(ops, copy, info, whole, {at::kFloat, kShardBytes}, manifest);
    write_manifest(ops, copy, manifest);
    fuzz::check_same(loaded, load_weights(copy, table), fuzz::has_same_numbers);
    model_fingerprint(copy);
    weights_identity(copy);

    const TextSide text = read_text_side(folder.path());
    load_weights(text.place, parameter_table(text.config));
  });
}
