#include "checkpoint/run_checkpoint.h"
#include "fuzz/input.h"

// trainer.json, which a training goes on from.
// readers: checkpoint/run_checkpoint.cpp core/json.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vit22b;
  static const fuzz::Folder folder;
  folder.write("trainer.json", fuzz::text_of(data, size));
  return fuzz::read([&] { saved_step(folder.path()); });
}
