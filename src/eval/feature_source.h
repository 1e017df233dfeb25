#pragma once
#include <memory>

#include "data/source.h"
#include "eval/feature_cache.h"

namespace vit22b {

/// A source whose images are embedded already: samples have "image_embedding", a row of cached
/// features brought to length 1, in the image's place, and the source's captions.
std::unique_ptr<DataSource> make_feature_source(std::shared_ptr<const DataSource> source,
                                                FeatureTable table, const std::string& feature);

/// The name of that field.
constexpr const char* kImageEmbedding = "image_embedding";

/// What a teacher said of a source's samples.
struct TaughtTable {
  FeatureTable table;
  at::Tensor columns;  ///< of it that are the data's classes, in their order
};

/// A source whose samples keep their images and have, as "teacher_logits" [teachers, C], a row of
/// each table beside them. Samples that were bad when the tables were made are left out.
///
/// tables  of this source, all with the same rows
std::unique_ptr<DataSource> make_taught_source(std::shared_ptr<const DataSource> source,
                                               std::vector<TaughtTable> tables,
                                               const std::string& feature);
constexpr const char* kTeacherLogits = "teacher_logits";

}  // namespace vit22b
