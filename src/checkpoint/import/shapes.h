#pragma once
#include "checkpoint/import/renamed.h"
#include "checkpoint/model_info.h"

namespace vit22b {

/// A checkpoint as an importer has understood it.
struct Imported {
  ModelInfo info;
  RenamedTensors tensors;
};

/// What names and shapes say of a model of serial blocks: sizes, norms, biases, tokens. Heads, eps,
/// activation, pooling and rotation they do not say; those are the family's.
///
/// throws  CheckpointError where there are no blocks or no patches
ViTConfig config_of_shapes(const RenamedTensors& tensors, const std::string& place);

/// The same of a tower that reads words. A projection that it has not is the identity, biases of it
/// and of the logits are zeros.
///
/// throws  CheckpointError where there are no embeddings of words
ViTConfig config_of_words(RenamedTensors& tensors, const std::string& place);

/// The image size that a position table is for, where its rows are those of a square grid.
void take_square_image(const RenamedTensors& tensors, ViTConfig& config);

/// Turns a head into a projection to what texts are embedded to as well; without a bias it has
/// zeros.
void take_projection(RenamedTensors& tensors, ViTConfig& config);

/// Notes where a field of the function comes from, for `model inspect`.
void note_origin(ModelInfo& info, const std::string& field, const std::string& from);

/// Zeros for the biases that a family has not: the patches', or a projection's.
at::Tensor made_zeros(const ParameterRow& row);
at::Tensor made_ones(const ParameterRow& row);

}  // namespace vit22b
