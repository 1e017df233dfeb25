#include "data/source.h"

#include <filesystem>

#include "core/checksum.h"
#include "core/error.h"
#include "data/sources/idx.h"
#include "data/sources/image_folder.h"
#include "data/sources/manifest.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

class Subset : public DataSource {
 public:
  Subset(std::shared_ptr<const DataSource> whole, std::vector<int64_t> indices)
      : whole_(std::move(whole)), indices_(std::move(indices)) {}
  int64_t size() const override { return static_cast<int64_t>(indices_.size()); }
  Sample read(int64_t index) const override {
    return whole_->read(indices_.at(static_cast<size_t>(index)));
  }
  const std::vector<std::string>& label_names() const override { return whole_->label_names(); }
  std::vector<std::string> captions(int64_t index) const override {
    return whole_->captions(indices_.at(static_cast<size_t>(index)));
  }
  int64_t held_bytes() const override { return whole_->held_bytes(); }
  std::string fingerprint() const override {
    return whole_->fingerprint() + xxh3_128(std::as_bytes(std::span(indices_)));
  }

 private:
  std::shared_ptr<const DataSource> whole_;
  std::vector<int64_t> indices_;
};

std::string recognise(const fs::path& path) {
  if (has_manifest_ending(path)) return "manifest";
  if (!fs::is_directory(path)) throw DataError("data folder ", path.string(), " does not exist");
  return is_idx_folder(path) ? "idx" : "folder";
}

}  // namespace

SourceName parse_source(const std::string& text) {
  for (const std::string kind : {"idx", "folder", "manifest"})
    if (text.starts_with(kind + ":")) return {kind, text.substr(kind.size() + 1)};
  return {recognise(text), text};
}

std::unique_ptr<DataSource> open_source(const std::string& text, const std::string& split) {
  const auto [kind, root] = parse_source(text);
  if (kind == "manifest") return open_manifest(root, split);
  if (!fs::is_directory(root))
    throw DataError("data folder ", root, " does not exist; set data.root or --data");
  return kind == "idx" ? open_idx(root, split) : open_image_folder(root, split);
}

std::unique_ptr<DataSource> make_subset(std::shared_ptr<const DataSource> whole,
                                        std::vector<int64_t> indices) {
  return std::make_unique<Subset>(std::move(whole), std::move(indices));
}

}  // namespace vit22b
