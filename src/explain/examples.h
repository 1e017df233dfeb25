#pragma once
#include <filesystem>
#include <vector>

#include "core/file.h"
#include "data/source.h"
#include "data/transforms.h"
#include "metrics/examples.h"
#include "model/config.h"
#include "model/predictor.h"

namespace vit22b {

/// Where a model looks, and at what.
struct ExamplesOf {
  const DataSource& source;
  const Transforms& transforms;
  Predictor& predictor;
  const ViTConfig& config;
};

/// Writes what a report shows of an evaluation's examples into a folder, from which an earlier
/// evaluation's files are removed first: SAMPLE.png, the image as the model sees it, at most 112
/// pixels high and wide, and, of models that pool by attention, SAMPLE.attention.png, where the MAP
/// query looks.
///
/// throws  DataError for a sample that cannot be read again; UsageError where nothing can be
///         written
void save_examples(FileOps& ops, const std::filesystem::path& folder,
                   const std::vector<metrics::Example>& examples, const ExamplesOf& of);

}  // namespace vit22b
