#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <set>

#include "model/block.h"
#include "model/context.h"
#include "model/encoder.h"

namespace vit22b {

/// What a vision transformer gives for a batch of images; an ensemble the mean over its members: of
/// the logits' probabilities, of other outputs themselves. On a model axis every tensor has this
/// rank's share of its last dim.
struct VitOutputs {
  at::Tensor
      tokens_BTD;  ///< after the final norm, or the raw last block output where the model has none
  at::Tensor pooled_BD;
  at::Tensor logits_BC;  ///< float32; undefined without a head
  BlockTensors blocks;   ///< raw block outputs asked for
};

/// The record of a whole forward pass: embedding, encoder, final norm, pool, head.
struct VitTape {
  UnitGraph embedding;
  EncoderTape encoder;
  UnitGraph final_norm;
  UnitGraph pool;
  UnitGraph head;
  UnitGraph members;  ///< the mean over an ensemble's members
};

/// What a pass shall give and keep.
struct VitRequest {
  std::set<int64_t> taps;
  VitTape* tape = nullptr;             ///< filled for vit_backward; null for inference
  const GradientSink* sink = nullptr;  ///< says what trains
  bool keeps_members = false;          ///< of an ensemble: every member's outputs, see for_members
  bool is_of_tokens = false;           ///< tokens alone: neither pool nor head
  bool is_image_trained = false;       ///< whether vit_backward shall return the images' gradient
};

/// Gradients of outputs; undefined where an output has no part in the loss.
struct VitOutputGrads {
  at::Tensor logits_BC;
  at::Tensor pooled_BD;
  at::Tensor tokens_BTD;
  BlockTensors blocks;
};

/// images_BCHW → outputs, of no images with no rows. Call without gradient mode: units record their
/// own graphs.
///
/// throws  UsageError for images that do not fit the model
VitOutputs vit_forward(const ModelContext& context, WeightStore& store,
                       const at::Tensor& images_BCHW, const VitRequest& request);

/// Sends gradients back, unit by unit, into the sink; stops at the lowest unit that needs one. Of
/// an ensemble whose members were not kept only the logits may have gradients.
///
/// returns  the images' gradient when the request asked for it, else undefined
at::Tensor vit_backward(const ModelContext& context, WeightStore& store, VitTape& tape,
                        const VitOutputGrads& gradients, GradientSink* sink);

/// What a forward pass shows of a block: its queries and keys (after QK normalisation) as attention
/// sees them, and its raw output; from an ensemble's first block on of every member, member after
/// member.
struct ObservedBlock {
  int64_t index = 0;
  const QueriesKeys& qk;
  const at::Tensor& output_BTD;
};

/// Runs a forward pass and shows it block by block, holding one block's tensors at a time.
void observe_blocks(const ModelContext& context, WeightStore& store, const at::Tensor& images_BCHW,
                    const std::function<void(const ObservedBlock&)>& observe);

/// The same of queries and keys alone.
void observe_attention(const ModelContext& context, WeightStore& store,
                       const at::Tensor& images_BCHW,
                       const std::function<void(int64_t block, const QueriesKeys&)>& observe);

/// Every unit of a model in the order of the forward pass.
std::vector<Unit> model_units(const ViTConfig& config);

}  // namespace vit22b
