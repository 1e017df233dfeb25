#include "data/corrupted_source.h"

#include <ATen/ATen.h>

#include <array>
#include <cmath>

#include "core/error.h"
#include "core/rng.h"
#include "data/corruptions/corruption.h"
#include "data/decode.h"
#include "data/resample.h"

namespace vit22b {
namespace {

class CorruptedSource : public DataSource {
 public:
  CorruptedSource(std::shared_ptr<const DataSource> clean, std::string name, int64_t severity,
                  uint64_t seed)
      : clean_(std::move(clean)), name_(std::move(name)), severity_(severity), seed_(seed) {
    // Says at once what is wrong with name or severity.
    corrupted(at::zeros({kCorruptedSide, kCorruptedSide, 3}, at::kByte), name_, severity_, 0);
  }

  int64_t size() const override { return clean_->size(); }
  Sample read(int64_t index) const override {
    Sample sample = clean_->read(index);
    const auto it = sample.fields.find(kImageField);
    if (it == sample.fields.end()) return sample;
    Field& field = it->second;
    if (!field.is_decoded()) {
      field.value = decode_image(field.encoded, sample.id, sample.max_pixels);
      field.encoded.clear();
    }
    check_size(field.value, sample);
    field.value = spoilt(field.value, static_cast<uint64_t>(index));
    return sample;
  }
  std::string id(int64_t index) const override { return clean_->id(index); }
  int64_t label(int64_t index) const override { return clean_->label(index); }
  std::vector<std::string> captions(int64_t index) const override {
    return clean_->captions(index);
  }
  const std::vector<std::string>& label_names() const override { return clean_->label_names(); }
  int64_t held_bytes() const override { return clean_->held_bytes(); }
  std::string fingerprint() const override {
    return concat(clean_->fingerprint(), "/", name_, "/", severity_, "/", seed_);
  }

 private:
  // The size that a picture is corrupted at.
  static std::array<int64_t, 2> size_of(const at::Tensor& image_HWC) {
    const int64_t height = image_HWC.size(0), width = image_HWC.size(1);
    const double scale = std::max(
        1.0, static_cast<double>(kCorruptedSide) / static_cast<double>(std::min(height, width)));
    const auto larger = [&](int64_t side) {
      return static_cast<int64_t>(std::lround(static_cast<double>(side) * scale));
    };
    return {larger(height), larger(width)};
  }

  static void check_size(const at::Tensor& image_HWC, const Sample& sample) {
    const auto [height, width] = size_of(image_HWC);
    if (height * width > sample.max_pixels)
      throw DataError(sample.id, " is ", image_HWC.size(1), " x ", image_HWC.size(0),
                      " pixels, and would be corrupted at ", width, " x ", height,
                      ", more than the ", sample.max_pixels, " pixels that --max-pixels allows");
  }

  at::Tensor spoilt(const at::Tensor& image_HWC, uint64_t index) const {
    const int64_t height = image_HWC.size(0), width = image_HWC.size(1);
    const auto [large_height, large_width] = size_of(image_HWC);
    const at::Tensor large = resample_pil(image_HWC, large_height, large_width, "bicubic");
    const uint64_t draw = CounterRng(seed_, "corruption", "sample").bits(index) ^ (index << 32U);
    return resample_pil(corrupted(large, name_, severity_, draw), height, width, "bilinear");
  }

  const std::shared_ptr<const DataSource> clean_;
  const std::string name_;
  const int64_t severity_;
  const uint64_t seed_;
};

}  // namespace

std::shared_ptr<const DataSource> make_corrupted(std::shared_ptr<const DataSource> clean,
                                                 const std::string& name, int64_t severity,
                                                 uint64_t seed) {
  return std::make_shared<CorruptedSource>(std::move(clean), name, severity, seed);
}

}  // namespace vit22b
