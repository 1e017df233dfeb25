#pragma once
#include "checkpoint/import/importer.h"
#include "checkpoint/import/shapes.h"

namespace vit22b {

/// A text tower in CLIP's names, which OpenAI's, open_clip's, EVA's and Meta's files have: causal,
/// read at the word of the largest number, GELU. Heads are the family's.
///
/// throws  CheckpointError where there is none
Imported read_clip_words(const ImportFiles& files, const TensorContainer& weights);

/// A block that shapes take for one of RMSNorm's is of LayerNorms without biases here.
///
/// throws  CheckpointError
void check_centred_norms(const ViTConfig& config, const std::string& place);

/// The heads of a text tower whose files do not say them: 64 features each, or as many as given.
///
/// throws  CheckpointError that asks for them where the width is no multiple
void take_words_heads(const ImportFiles& files, ModelInfo& info);

}  // namespace vit22b
