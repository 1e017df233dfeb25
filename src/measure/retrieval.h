#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/source.h"
#include "eval/feature_cache.h"
#include "eval/labelled_features.h"
#include "eval/result.h"
#include "eval/text_tower.h"

namespace vit22b {

/// A picture that was found, and its similarity to what was searched for.
struct FoundPicture {
  std::string id;
  double score = 0;
};

/// The pictures of a table of embeddings ("pooled") that a sentence fits best, the best first.
std::vector<FoundPicture> search_pictures(const TextTower& tower, const FeatureTable& table,
                                          const std::string& sentence, int64_t count);

/// The images of a source and all their captions, embedded; an image and its captions have one
/// label.
///
/// table  of the source's images
PairedFeatures embed_captions(const TextTower& tower, const DataSource& source,
                              const FeatureTable& table, const std::string& place);

/// Where the right answers stand, both ways: an image's is any of its texts, a text's any of its
/// images. As metrics::answer_ranks has them.
struct RetrievalRanks {
  at::Tensor image_to_text, text_to_image;
};
RetrievalRanks retrieval_ranks(const PairedFeatures& pairs);

/// The ranks that recall is told of.
constexpr int64_t kRecallRanks[] = {1, 5, 10};

/// The recall both ways.
Result retrieval_result(const PairedFeatures& pairs);

}  // namespace vit22b
