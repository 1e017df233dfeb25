#include "checkpoint/container/safetensors_file.h"
#include "core/checksum.h"
#include "core/log.h"
#include "eval/feature_cache.h"
#include "fuzz/few_pictures.h"
#include "fuzz/input.h"

namespace {

using namespace vit22b;
namespace fs = std::filesystem;

class MeanExtractor : public FeatureExtractor {
 public:
  std::string place() const override { return "mean"; }
  std::string fingerprint() const override { return "mean"; }
  const Transforms& transforms() const override { return transforms_; }
  std::map<std::string, at::Tensor> extract(const at::Tensor& images_BCHW) override {
    return {{"pooled", images_BCHW.mean({2, 3})}};
  }

 private:
  Transforms transforms_{"value_range(0,1)"};
};

/// Makes a shard of nothing, but none again, which takes a thread and many times as long as
/// reading.
class MakesOnce : public FileOps {
 public:
  void make_folder(const fs::path& path) override {
    if (!may_make) throw UsageError(path.string(), " is not made again");
    FileOps::make_folder(path);
  }
  bool may_make = true;
};

// What a shard says of itself, in place of which a seed has as many letters.
void put_in(std::string& bytes, const std::string& letters, const std::string& hash) {
  const size_t at = bytes.find(letters);
  if (at != std::string::npos) bytes.replace(at, letters.size(), hash);
}

// The hash of a shard's tensors as its writer takes it; nothing for what is no shard.
std::string hash_of_tensors(const fs::path& path) {
  Xxh3Stream stream;
  fuzz::read([&] {
    const SafetensorsFile file(path);
    for (const auto& [name, entry] : file.entries()) stream.add(file.bytes(entry));
  });
  return stream.hash();
}

}  // namespace

// A shard of features in a cache, whose hashes are put right where the input asks for that: what
// is no shard of these pictures would be made again, and an empty one is.
// readers: eval/feature_cache.cpp eval/feature_shards.cpp eval/labelled_features.cpp
// eval/sample_names.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  static const fuzz::FewPictures pictures;
  static MeanExtractor extractor;
  static MakesOnce ops;
  log_set_terminal(false);
  const CacheOptions options{.root = folder.path(),
                             .shards = {.num_workers = 1, .max_bad_fraction = 0.5}};
  return fuzz::read([&] {
    const std::string identity = shard_identity(extractor, pictures, options.shards);
    const std::string name = identity.substr(0, 16) + "/features-00000.safetensors";
    std::string bytes(fuzz::text_of(data, size));
    put_in(bytes, "IDENTITY-OF-THESE-THREE-PICTURES", identity);
    ops.may_make = bytes.empty();
    put_in(bytes, "HASH-OF-ALL-TENSORS-OF-THE-SHARD", hash_of_tensors(folder.write(name, bytes)));
    const fs::path path = folder.write(name, bytes);
    fuzz::read([&] {
      const LabelledFeatures read = read_features(path);
      read.subset(at::arange(1));
      LabelledFeatures named = read;
      named.label_names = {"cat", "ox"};
      in_classes_of(named, read);
      count_classes(named, read);
    });
    fuzz::read([&] { read_pairs(path); });
    const FeatureTable table = cached_features(extractor, pictures, options, ops);
    const at::Tensor rows = table.rows("pooled", at::arange(table.size()));
    VIT22B_CHECK(rows.size(0) == table.size() && rows.size(1) == table.width("pooled"),
                 "features of another shape");
    VIT22B_CHECK(static_cast<int64_t>(table.ids().size()) == table.size(), "rows without a name");
    const LabelledFeatures all = table.labelled("pooled");
    count_classes(all, all);
  });
}
