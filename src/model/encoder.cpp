#include "model/encoder.h"

#include "core/error.h"

namespace vit22b {

at::Tensor for_members(const at::Tensor& x_BTD, int64_t members) {
  return members == 1 ? x_BTD : x_BTD.repeat({members, 1, 1});
}

at::Tensor encoder_forward(const ModelContext& context, WeightStore& store, const at::Tensor& x_BTD,
                           const EncoderRequest& request, BlockTensors& taps) {
  const int64_t depth = context.config.depth;
  const int64_t first_ensemble = context.config.first_ensemble_block();
  at::Tensor x = x_BTD;
  if (request.tape != nullptr) {
    request.tape->blocks = std::vector<EncoderTape::Block>(static_cast<size_t>(depth));
    request.tape->first_block = request.first_block;
    request.tape->sequence = request.sequence;
  }
  for (int64_t i = 0; i < depth; ++i) {
    const UnitLease lease = store.acquire(block_unit(i), Pass::kForward);
    const BlockSpec& spec = context.block_at(i);
    if (i == first_ensemble) x = for_members(x, context.config.plex.members());
    const BlockCall call{spec, lease.weights(), request.sequence};
    if (i + 1 < depth) store.prefetch(block_unit(i + 1), Pass::kForward);
    const bool is_taped = request.tape != nullptr && i >= request.first_block;
    if (is_taped && context.policy == ActivationPolicy::kKeep) {
      EncoderTape::Block& block = request.tape->blocks[static_cast<size_t>(i)];
      block.input = x;
      x = context.engine.forward_saving(call, x, trained_names(request.sink, block_unit(i)),
                                        block.saved);
      // Activations that hold weights which must go are computed again.
      if (!store.is_keeping() && !block.saved->drop_weights()) block.saved.reset();
      if (block.saved != nullptr) block.input.reset();
    } else {
      if (is_taped && context.inputs != nullptr)
        context.inputs->put(i, x);
      else if (is_taped)
        request.tape->blocks[static_cast<size_t>(i)].input = x;
      const PackedWeights* packed =
          context.packed == nullptr ? nullptr
                                    : context.packed->get(context.engine, spec, block_unit(i),
                                                          lease.weights(), context.compute_type);
      x = context.engine.forward(call, x, packed);
    }
    if (request.taps.count(i) != 0) taps[i] = x;
  }
  return x;
}

at::Tensor encoder_backward(const ModelContext& context, WeightStore& store, EncoderTape& tape,
                            const BlockTensors& grads_of_taps, GradientSink* sink) {
  at::Tensor gradient;
  for (int64_t i = context.config.depth - 1; i >= tape.first_block; --i) {
    if (const auto tap = grads_of_taps.find(i); tap != grads_of_taps.end())
      gradient = gradient.defined() ? gradient + tap->second : tap->second;
    if (!gradient.defined()) continue;
    const Unit unit = block_unit(i);
    EncoderTape::Block& block = tape.blocks[static_cast<size_t>(i)];
    const std::set<std::string>& trained = trained_names(sink, unit);
    const UnitLease lease = store.acquire(unit, Pass::kBackward);
    if (block.saved != nullptr && !store.is_keeping()) block.saved->take_weights(lease.weights());
    if (block.saved == nullptr) {
      if (!block.input.defined()) block.input = context.inputs->take(i);
      if (context.inputs != nullptr && i > tape.first_block) context.inputs->prefetch(i - 1);
      context.engine.save_again({context.block_at(i), lease.weights(), tape.sequence}, block.input,
                                trained, block.saved);
      block.input.reset();
    }
    if (i > tape.first_block) store.prefetch(block_unit(i - 1), Pass::kBackward);
    UnitGrads* grads = trained.empty() ? nullptr : &sink->begin(unit);
    gradient = context.engine.backward(std::move(block.saved), gradient, grads);
    if (grads != nullptr) sink->commit(unit);
    if (i == context.config.first_ensemble_block())
      gradient = gradient.unflatten(0, {context.config.plex.members(), -1}).sum(0);
  }
  return gradient;
}

}  // namespace vit22b
