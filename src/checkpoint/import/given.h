#pragma once
#include <string>

#include "checkpoint/import/hf.h"
#include "checkpoint/import/importer.h"
#include "checkpoint/import/shapes.h"
#include "core/config.h"

namespace vit22b {

/// Whether a user says a field behind the checkpoint's place.
bool is_given(const ImportFiles& files, const std::string& field);
/// What is said of a field that is a word; "" where nothing is.
std::string given_word(const ImportFiles& files, const std::string& field);

/// What is said of a head that says how far every pixel is, as "depth.KEY=VALUE"; by KEY.
ConfigTree given_of_depth(const ImportFiles& files);

/// Changes the fields that are given.
///
/// throws  UsageError for a field that there is none of, or of which the files say something else
void apply_given(const ImportFiles& files, ModelInfo& info);

/// The heads of a model whose files do not tell: those of the published models of its width, or
/// what is given.
///
/// throws  CheckpointError that asks for them
void take_heads(const ImportFiles& files, ModelInfo& info);

/// Pixels as a family takes them where no file says it: the short side to the model's image, or
/// both sides, bicubic.
void take_pixels(const PixelScale& scale, bool is_squashed, ModelInfo& info);

}  // namespace vit22b
