#include "data/derived_sources.h"

#include "core/checksum.h"
#include "core/error.h"
#include "core/log.h"

namespace vit22b {
namespace {

class Subset : public DataSource {
 public:
  Subset(std::shared_ptr<const DataSource> whole, std::vector<int64_t> indices)
      : whole_(std::move(whole)), indices_(std::move(indices)) {}
  int64_t size() const override { return static_cast<int64_t>(indices_.size()); }
  Sample read(int64_t index) const override {
    return whole_->read(indices_.at(static_cast<size_t>(index)));
  }
  std::string id(int64_t index) const override {
    return whole_->id(indices_.at(static_cast<size_t>(index)));
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
  std::string id(int64_t index) const override { return whole_->id(index); }
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

}  // namespace

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
