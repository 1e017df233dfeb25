#include "eval/map_features.h"

#include "core/checksum.h"
#include "core/error.h"
#include "model/dense/patch_maps.h"

namespace vit22b {
namespace {

class MapExtractor : public FeatureExtractor {
 public:
  MapExtractor(const std::filesystem::path& checkpoint, const PredictorOptions& options,
               const DenseHeadConfig& head, const std::string& transform)
      : model_(load_predictor(checkpoint, options)),
        transforms_(transform),
        maps_(model_.info.config, head) {
    fingerprint_ =
        hash_of_text(concat(model_fingerprint(model_.checkpoint), "\n", transform, "\n",
                            options.precision, " ", options.engine, "\nmaps of norm ", head.norm,
                            head.readout == "ignore" ? "" : " " + head.readout, " blocks ",
                            join_numbers(head.blocks(model_.info.config.depth))));
  }

  std::string place() const override { return model_.checkpoint.path().string(); }
  std::string fingerprint() const override { return fingerprint_; }
  const Transforms& transforms() const override { return transforms_; }

  std::map<std::string, at::Tensor> extract(const at::Tensor& images_BCHW) override {
    const VitOutputs outputs = model_.predictor->features(images_BCHW, maps_.taps());
    const std::vector<at::Tensor> maps =
        maps_.of(outputs, images_BCHW.size(2), images_BCHW.size(3), single_process());
    std::map<std::string, at::Tensor> features;
    for (size_t i = 0; i < maps.size(); ++i)
      features[map_field(static_cast<int64_t>(i))] =
          maps[i].flatten(1).to(at::kCPU, at::kBFloat16).contiguous();
    return features;
  }

 private:
  static std::string join_numbers(const std::vector<int64_t>& numbers) {
    std::vector<std::string> texts;
    texts.reserve(numbers.size());
    for (const int64_t number : numbers) texts.push_back(std::to_string(number));
    return join(texts, ",");
  }

  LoadedModel model_;
  Transforms transforms_;
  PatchMaps maps_;
  std::string fingerprint_;
};

class MappedSource : public DataSource {
 public:
  MappedSource(std::shared_ptr<const DataSource> source, FeatureTable table, const MapShape& shape)
      : source_(std::move(source)), table_(std::move(table)), shape_(shape) {}

  int64_t size() const override { return table_.size(); }

  Sample read(int64_t index) const override {
    Sample sample = source_->read(source_index(index));
    sample.fields.erase(kImageField);
    for (int64_t i = 0; i < shape_.num_maps; ++i)
      sample.fields[map_field(i)] = {FieldKind::kVector,
                                     table_.rows(map_field(i), at::tensor({index}, at::kLong))
                                         .view({shape_.height, shape_.width, shape_.channels})};
    return sample;
  }

  std::string id(int64_t index) const override { return source_->id(source_index(index)); }
  int64_t label(int64_t) const override { return -1; }
  const std::vector<std::string>& label_names() const override { return source_->label_names(); }
  std::string fingerprint() const override { return source_->fingerprint() + "maps"; }

 private:
  int64_t source_index(int64_t index) const { return table_.indices()[index].item<int64_t>(); }

  std::shared_ptr<const DataSource> source_;
  FeatureTable table_;
  MapShape shape_;
};

}  // namespace

std::string map_field(int64_t index) {
  return concat("map.", index);
}

std::unique_ptr<FeatureExtractor> make_map_extractor(const std::filesystem::path& checkpoint,
                                                     const PredictorOptions& options,
                                                     const DenseHeadConfig& head,
                                                     const std::string& transform) {
  return std::make_unique<MapExtractor>(checkpoint, options, head, transform);
}

std::unique_ptr<DataSource> make_mapped_source(std::shared_ptr<const DataSource> source,
                                               FeatureTable table, const MapShape& shape) {
  return std::make_unique<MappedSource>(std::move(source), std::move(table), shape);
}

}  // namespace vit22b
