#include "data/source.h"

#include <filesystem>

#include "core/checksum.h"
#include "core/error.h"
#include "core/log.h"
#include "data/sources/idx.h"
#include "data/sources/image_folder.h"
#include "data/sources/manifest.h"
#include "data/splits.h"

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
  int64_t label(int64_t index) const override {
    return whole_->label(indices_.at(static_cast<size_t>(index)));
  }
  const std::vector<std::string>& label_names() const override { return whole_->label_names(); }
  std::vector<std::string> captions(int64_t index) const override {
    return whole_->captions(indices_.at(static_cast<size_t>(index)));
  }
  int64_t held_bytes() const override { return whole_->held_bytes(); }
  std::string fingerprint() const override {
    return whole_->fingerprint() + xxh3_128(std::as_bytes(std::span(indices_)));
  }
  SourceIdentity identity() const override {
    const SourceIdentity whole = whole_->identity();
    return {hash_of_text(whole.names + xxh3_128(std::as_bytes(std::span(indices_)))),
            whole.contents};
  }

 private:
  std::shared_ptr<const DataSource> whole_;
  std::vector<int64_t> indices_;
};

class Relabelled : public DataSource {
 public:
  Relabelled(std::shared_ptr<const DataSource> whole, std::vector<int64_t> new_labels,
             std::vector<std::string> names)
      : whole_(std::move(whole)), new_labels_(std::move(new_labels)), names_(std::move(names)) {}
  int64_t size() const override { return whole_->size(); }
  Sample read(int64_t index) const override {
    Sample sample = whole_->read(index);
    sample.label = renamed(sample.label);
    return sample;
  }
  int64_t label(int64_t index) const override { return renamed(whole_->label(index)); }
  const std::vector<std::string>& label_names() const override { return names_; }
  std::vector<std::string> captions(int64_t index) const override {
    return whole_->captions(index);
  }
  int64_t held_bytes() const override { return whole_->held_bytes(); }
  std::string fingerprint() const override {
    return whole_->fingerprint() +
           hash_of_text(join(names_, "/") + xxh3_128(std::as_bytes(std::span(new_labels_))));
  }
  SourceIdentity identity() const override {
    const SourceIdentity whole = whole_->identity();
    return {hash_of_text(whole.names + join(names_, "/") +
                         xxh3_128(std::as_bytes(std::span(new_labels_)))),
            whole.contents};
  }

 private:
  int64_t renamed(int64_t label) const {
    return label < 0 ? label : new_labels_.at(static_cast<size_t>(label));
  }

  std::shared_ptr<const DataSource> whole_;
  std::vector<int64_t> new_labels_;
  std::vector<std::string> names_;
};

std::string recognise(const fs::path& path) {
  std::error_code error;
  if (has_manifest_ending(path)) return "manifest";
  if (!fs::is_directory(path, error))
    throw DataError("data folder ", path.string(), " does not exist");
  return is_idx_folder(path) ? "idx" : "folder";
}

}  // namespace

SourceName parse_source(const std::string& text) {
  for (const std::string kind : {"idx", "folder", "manifest"})
    if (text.starts_with(kind + ":")) return {kind, text.substr(kind.size() + 1)};
  return {recognise(text), text};
}

namespace {

void check_root(const SourceName& source) {
  std::error_code error;
  if (source.kind != "manifest" && !fs::is_directory(source.root, error))
    throw DataError("data folder ", source.root, " does not exist; set data.root or --data");
}

}  // namespace

std::unique_ptr<DataSource> open_source(const std::string& text, const std::string& split,
                                        const SourceOptions& options) {
  const SourceName source = parse_source(text);
  check_root(source);
  if (source.kind == "manifest") return open_manifest(source.root, split);
  return source.kind == "idx" ? open_idx(source.root, split)
                              : open_image_folder(source.root, split, options);
}

std::vector<std::string> splits_of(const std::string& text, const SourceOptions& options) {
  const SourceName source = parse_source(text);
  check_root(source);
  std::vector<std::string> splits = source.kind == "manifest" ? manifest_splits(source.root)
                                    : source.kind == "idx"    ? idx_splits(source.root)
                                                              : split_folders(source.root, options);
  if (splits.empty()) splits.emplace_back(kWholeSplit);
  return splits;
}

std::unique_ptr<DataSource> make_subset(std::shared_ptr<const DataSource> whole,
                                        std::vector<int64_t> indices) {
  return std::make_unique<Subset>(std::move(whole), std::move(indices));
}

std::unique_ptr<DataSource> make_relabelled(std::shared_ptr<const DataSource> whole,
                                            std::vector<int64_t> new_labels,
                                            std::vector<std::string> names) {
  return std::make_unique<Relabelled>(std::move(whole), std::move(new_labels), std::move(names));
}

std::shared_ptr<const DataSource> with_captions(std::shared_ptr<const DataSource> whole,
                                                const std::string& place) {
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < whole->size(); ++i)
    if (!whole->captions(i).empty()) indices.push_back(i);
  if (indices.empty())
    throw DataError(place,
                    " has no captions; want a manifest with the columns filepath and caption");
  const auto without = whole->size() - static_cast<int64_t>(indices.size());
  if (without == 0) return whole;
  log_warn(concat(place, ": ", without, " images without a caption are left out"));
  return make_subset(std::move(whole), std::move(indices));
}

}  // namespace vit22b
