#include "fuzz/input.h"
#include "fuzz/weights.h"
#include "support/pickles.h"

// A file of torch's, an archive or a stream as it is; and the same bytes as the pickle of a whole
// archive with some storages.
// readers: checkpoint/container/torch_file.cpp checkpoint/container/torch_tensor.cpp
// checkpoint/container/state_dict.cpp checkpoint/container/pickle.cpp
// checkpoint/container/pickle_stack.cpp checkpoint/container/pickle_bytes.cpp
// checkpoint/container/zip_directory.cpp core/strided_bytes.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vit22b;
  static const fuzz::Folder folder;
  const std::string_view input = fuzz::text_of(data, size);
  const auto path = folder.write("a.pt", input);
  fuzz::read([&] { fuzz::read_ends(open_container(path)); });
  const std::string storage(64, 'x');
  for (const bool is_module : {false, true}) {
    std::vector<test::ZipEntry> members = {
        {"a/data.pkl", std::string(input)}, {"a/data/0", storage}, {"a/data/1", storage}};
    if (is_module) members.push_back({"a/constants.pkl", ""});
    const auto archive = folder.write("b.pt", test::zip_archive(members));
    fuzz::read([&] { fuzz::read_ends(open_container(archive)); });
  }
  return 0;
}
