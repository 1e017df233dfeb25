#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "model/context.h"
#include "model/gradient_sink.h"
#include "model/unit_graph.h"
#include "model/weight_store.h"

namespace vit22b {

/// The encoder's own record of a forward pass, block by block.
struct EncoderTape {
  struct Block {
    at::Tensor input;  ///< set where the block is recomputed, unless the context keeps inputs
    std::unique_ptr<SavedActivations> saved;
  };
  std::vector<Block> blocks;
  int64_t first_block = 0;  ///< the lowest block that the backward pass reaches
  Sequence sequence;
};

/// Block outputs by block index.
using BlockTensors = std::map<int64_t, at::Tensor>;

/// What a forward pass shall give and keep.
struct EncoderRequest {
  Sequence sequence;            ///< of the tokens
  std::set<int64_t> taps;       ///< blocks whose raw output is wanted
  EncoderTape* tape = nullptr;  ///< filled for a backward pass; null for inference
  const GradientSink* sink =
      nullptr;              ///< says what trains; null where only the input's gradient is wanted
  int64_t first_block = 0;  ///< lowest block that needs a gradient of its output or weights
};

/// The images of each member of an ensemble, member after member: [members B, T, D].
at::Tensor for_members(const at::Tensor& x_BTD, int64_t members);

/// Runs all blocks. From an ensemble's first block on, outputs are as for_members has them.
///
/// x_BTD    embedded sequence (patches, words or frames), in the residual stream's dtype
/// taps     receives the blocks asked for
/// returns  [B, T, D], the last block's raw output
at::Tensor encoder_forward(const ModelContext& context, WeightStore& store, const at::Tensor& x_BTD,
                           const EncoderRequest& request, BlockTensors& taps);

/// Walks the blocks down, adding the taps' gradients where they join, and commits each block's
/// gradients.
///
/// grads_of_taps  gradient of block outputs; the last block's is the encoder's output gradient
/// sink           null where no weight trains
/// returns        gradient of the encoder's input; undefined when the tape starts above block 0
at::Tensor encoder_backward(const ModelContext& context, WeightStore& store, EncoderTape& tape,
                            const BlockTensors& grads_of_taps, GradientSink* sink);

}  // namespace vit22b
