#include "measure/retrieval.h"

#include <ATen/ATen.h>

#include "core/error.h"
#include "core/text.h"
#include "kernels/norm.h"
#include "metrics/retrieval.h"

namespace vit22b {

std::vector<FoundPicture> search_pictures(const TextTower& tower, const FeatureTable& table,
                                          const std::string& sentence, int64_t count) {
  const at::Tensor scores =
      at::mv(unit_length(table.all(tower.image_feature())), tower.embed({sentence})[0]);
  const auto [values, indices] = scores.topk(std::min(count, table.size()));
  std::vector<FoundPicture> found;
  for (int64_t i = 0; i < values.numel(); ++i)
    found.push_back(
        {table.ids()[static_cast<size_t>(indices[i].item<int64_t>())], values[i].item<double>()});
  return found;
}

PairedFeatures embed_captions(const TextTower& tower, const DataSource& source,
                              const FeatureTable& table, const std::string& place) {
  std::vector<std::string> captions;
  std::vector<int64_t> image_of_caption;
  for (int64_t row = 0; row < table.size(); ++row)
    for (std::string& caption : source.captions(table.indices()[row].item<int64_t>())) {
      captions.push_back(std::move(caption));
      image_of_caption.push_back(row);
    }
  return {{table.all(tower.image_feature()), at::arange(table.size(), at::kLong), {}, place},
          {tower.embed(captions), at::tensor(image_of_caption, at::kLong), {}, place}};
}

RetrievalRanks retrieval_ranks(const PairedFeatures& pairs) {
  const auto& [images, texts] = pairs;
  const at::Tensor scores =
      at::mm(unit_length(images.features_ND), unit_length(texts.features_ND).t());
  return {metrics::answer_ranks(scores, images.labels_N, texts.labels_N),
          metrics::answer_ranks(scores.t(), texts.labels_N, images.labels_N)};
}

Result retrieval_result(const PairedFeatures& pairs) {
  const RetrievalRanks ranks = retrieval_ranks(pairs);
  Result result{"retrieval"};
  result.is_of_samples = false;
  result.settings = {{"num_images", pairs.images.size()}, {"num_captions", pairs.texts.size()}};
  for (const auto& [way, ranks_Q] : {std::pair("image_to_text", ranks.image_to_text),
                                     std::pair("text_to_image", ranks.text_to_image)}) {
    std::vector<std::string> shares;
    for (const int64_t k : kRecallRanks) {
      const double recall = metrics::recall_at(ranks_Q, k);
      result.numbers.push_back({{concat("recall_at.", way, ".", k), "share"}, recall});
      shares.push_back(concat("@", k, formatted(" %.2f %%", 100 * recall)));
    }
    result.lines += concat(way, "  recall", join(shares, "  "), "\n");
  }
  return result;
}

}  // namespace vit22b
