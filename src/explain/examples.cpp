#include "explain/examples.h"

#include <ATen/ATen.h>

#include "data/encode.h"
#include "explain/pictures.h"

namespace vit22b {
namespace {

constexpr int64_t kLargestSide = 112;
constexpr const char* kPicture = ".png";
constexpr const char* kAttention = ".attention.png";

/// A picture made no larger than a report shows it.
at::Tensor thumbnail(const at::Tensor& picture_HWC) {
  const int64_t height = picture_HWC.size(0), width = picture_HWC.size(1);
  const int64_t side = std::max(height, width);
  if (side <= kLargestSide) return picture_HWC;
  const auto fitted = [&](int64_t size) {
    return std::max<int64_t>(1, size * kLargestSide / side);
  };
  return at::adaptive_avg_pool2d(picture_HWC.permute({2, 0, 1}).to(at::kFloat).contiguous(),
                                 {fitted(height), fitted(width)})
      .round()
      .to(at::kByte)
      .permute({1, 2, 0})
      .contiguous();
}

at::Tensor image_of(const ExamplesOf& of, int64_t index) {
  Sample sample = of.source.read(index);
  of.transforms(sample, static_cast<uint64_t>(index));
  return sample.fields.at(kImageField).value.permute({2, 0, 1}).contiguous();
}

/// Whether a file is called as those that save_examples writes.
bool is_example(const std::string& name) {
  const size_t digits = name.find_first_not_of("0123456789");
  return digits != 0 && digits != std::string::npos &&
         (name.substr(digits) == kPicture || name.substr(digits) == kAttention);
}

void remove_earlier(FileOps& ops, const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> earlier;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.is_regular_file() && is_example(entry.path().filename().string()))
      earlier.push_back(entry.path());
  for (const std::filesystem::path& path : earlier) ops.remove_all(path);
}

}  // namespace

void save_examples(FileOps& ops, const std::filesystem::path& folder,
                   const std::vector<metrics::Example>& examples, const ExamplesOf& of) {
  ops.make_folder(folder);
  remove_earlier(ops, folder);
  for (const metrics::Example& example : examples) {
    const at::Tensor image_CHW = image_of(of, example.sample);
    const std::string stem = std::to_string(example.sample);
    write_text(ops, folder / (stem + kPicture), encode_png(thumbnail(image_picture(image_CHW))));
    // An ensemble's members pool each for themselves.
    if (of.config.pool.global_pool != "map" || of.config.plex.has_members()) continue;
    const at::Tensor map_hw = of.predictor.pool_attention(image_CHW.unsqueeze(0))
                                  .cpu()[0]
                                  .mean(0)
                                  .view({image_CHW.size(1) / of.config.patch_size,
                                         image_CHW.size(2) / of.config.patch_size});
    write_text(ops, folder / (stem + kAttention),
               encode_png(thumbnail(attention_overlay(image_CHW, map_hw))));
  }
}

}  // namespace vit22b
