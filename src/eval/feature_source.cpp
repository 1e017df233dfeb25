#include "eval/feature_source.h"

#include "core/error.h"
#include "kernels/norm.h"

namespace vit22b {
namespace {

class FeatureSource : public DataSource {
 public:
  FeatureSource(std::shared_ptr<const DataSource> source, FeatureTable table, std::string feature)
      : source_(std::move(source)), table_(std::move(table)), feature_(std::move(feature)) {}

  int64_t size() const override { return table_.size(); }

  Sample read(int64_t index) const override {
    Sample sample;
    sample.fields[kImageEmbedding] = {
        FieldKind::kVector, unit_length(table_.rows(feature_, at::tensor({index}, at::kLong))[0])};
    sample.label = label(index);
    sample.captions = captions(index);
    sample.id = table_.ids()[static_cast<size_t>(index)];
    return sample;
  }

  int64_t label(int64_t index) const override { return table_.labels()[index].item<int64_t>(); }
  std::vector<std::string> captions(int64_t index) const override {
    return source_->captions(table_.indices()[index].item<int64_t>());
  }
  const std::vector<std::string>& label_names() const override { return source_->label_names(); }
  std::string fingerprint() const override { return source_->fingerprint() + feature_; }

 private:
  std::shared_ptr<const DataSource> source_;
  FeatureTable table_;
  std::string feature_;
};

class TaughtSource : public DataSource {
 public:
  TaughtSource(std::shared_ptr<const DataSource> source, std::vector<TaughtTable> tables,
               std::string feature)
      : source_(std::move(source)), tables_(std::move(tables)), feature_(std::move(feature)) {
    for (const TaughtTable& said : tables_)
      if (!said.table.indices().equal(tables_.front().table.indices()))
        throw DataError("teachers could not read the same images; remove their caches");
  }

  int64_t size() const override { return tables_.front().table.size(); }

  Sample read(int64_t index) const override {
    Sample sample = source_->read(source_index(index));
    std::vector<at::Tensor> rows;
    rows.reserve(tables_.size());
    for (const TaughtTable& said : tables_)
      rows.push_back(said.table.rows(feature_, at::tensor({index}, at::kLong))[0].index_select(
          0, said.columns));
    sample.fields[kTeacherLogits] = {FieldKind::kVector, at::stack(rows)};
    return sample;
  }

  int64_t label(int64_t index) const override { return source_->label(source_index(index)); }
  std::vector<std::string> captions(int64_t index) const override {
    return source_->captions(source_index(index));
  }
  const std::vector<std::string>& label_names() const override { return source_->label_names(); }
  std::string fingerprint() const override { return source_->fingerprint() + feature_; }

 private:
  int64_t source_index(int64_t index) const {
    return tables_.front().table.indices()[index].item<int64_t>();
  }

  std::shared_ptr<const DataSource> source_;
  std::vector<TaughtTable> tables_;
  std::string feature_;
};

}  // namespace

std::unique_ptr<DataSource> make_taught_source(std::shared_ptr<const DataSource> source,
                                               std::vector<TaughtTable> tables,
                                               const std::string& feature) {
  return std::make_unique<TaughtSource>(std::move(source), std::move(tables), feature);
}

std::unique_ptr<DataSource> make_feature_source(std::shared_ptr<const DataSource> source,
                                                FeatureTable table, const std::string& feature) {
  return std::make_unique<FeatureSource>(std::move(source), std::move(table), feature);
}

}  // namespace vit22b
