#include "checkpoint/container/containers.h"
#include "checkpoint/container/inflated_bytes.h"
#include "core/error.h"
#include "core/npy_header.h"

namespace vit22b {
namespace {

constexpr std::string_view kArrayEnding = ".npy";

// What is not in C order gets a store of its own.
void add_array(TensorContainer& container, const std::string& name, const NpyHeader& header,
               size_t store, const ByteStore& bytes) {
  StoredTensor tensor{header.dtype, header.view.shape, store, header.view.begin};
  if (!is_contiguous(header.view)) {
    tensor.store = container.add_store(strided_bytes(bytes, header.view));
    tensor.offset = 0;
  }
  container.add(name, std::move(tensor));
}

}  // namespace

TensorContainer open_npz(const std::filesystem::path& file) {
  TensorContainer container(file);
  std::unique_ptr<ByteStore> opened = open_file_bytes(file, ExitCode::kCheckpoint);
  // The container moves, what its stores are does not.
  const ByteStore& archive = *opened;
  const size_t whole = container.add_store(std::move(opened));
  for (const auto& [member_name, member] : read_zip_directory(archive)) {
    if (!member_name.ends_with(kArrayEnding))
      throw CheckpointError(archive.place(), " holds '", member_name,
                            "', want .npy arrays alone, as numpy.savez writes them; what "
                            "torch.save writes is named .pt or .pth");
    const std::string name = member_name.substr(0, member_name.size() - kArrayEnding.size());
    const std::string place = concat(archive.place(), ": the array '", name, "'");
    if (!member.is_deflated) {
      const NpyHeader header = read_npy_header(archive, member.begin, member.size, place);
      add_array(container, name, header, whole, archive);
      continue;
    }
    std::unique_ptr<ByteStore> inflated = inflated_bytes(archive, member, member_name);
    const ByteStore& bytes = *inflated;
    const size_t store = container.add_store(std::move(inflated));
    add_array(container, name, read_npy_header(bytes, 0, member.size, place), store, bytes);
  }
  return container;
}

}  // namespace vit22b
