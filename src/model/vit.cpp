#include "model/vit.h"

#include "core/error.h"
#include "kernels/norm.h"
#include "model/embedding.h"
#include "model/head.h"
#include "model/layers.h"
#include "model/pooling.h"

namespace vit22b {
namespace {

/// The text's embedding of length 1 times the logits' scale, and their bias: [B, E + 1], so that
/// its product with an image's embedding of length 1 and a 1 is their contrastive logit.
at::Tensor joint_head(const Layers& layers, const at::Tensor& pooled_BD) {
  const at::Tensor z_BE =
      layers.rows_of_whole(layers.weight("joint.weight"), layers.weight("joint.bias"), pooled_BD);
  return at::cat({unit_length(z_BE) * layers.weight("logit_scale").exp(),
                  layers.weight("logit_bias").expand({z_BE.size(0), 1})},
                 1);
}

/// The forward passes of the units around the encoder; the sequence outlives them.
UnitFunction unit_function(const ModelContext& context, UnitKind kind, const Sequence& sequence) {
  return [&context, kind, &sequence](const NamedTensors& weights, const at::Tensor& x) {
    const Layers layers(context.block, weights, context.mesh, context.engine.layer_functions());
    switch (kind) {
      case UnitKind::kEmbedding:
        return embed(context.config, layers, x, context.compute_type, context.type_of_residual());
      case UnitKind::kFinalNorm:
        return layers.norm("norm", x).to(context.compute_type);
      case UnitKind::kPool:
        return pool_tokens(context.config, layers, sequence, x.to(context.compute_type));
      case UnitKind::kHead:
        return context.config.reads_words() && context.config.text.joint_dim > 0
                   ? joint_head(layers, x.to(at::kFloat))
                   : classify(context, layers, x.to(at::kFloat));
      case UnitKind::kBlock:
      case UnitKind::kTask:
        break;
    }
    throw InternalError("unit_function: blocks are the engine's, a task's unit is the task's");
  };
}

/// A pass over the units around the encoder: runs each, recording it when a gradient has to come
/// back through it.
class UnitRunner {
 public:
  UnitRunner(const ModelContext& context, WeightStore& store, const Sequence& sequence,
             const VitRequest& request)
      : context_(context), store_(store), sequence_(sequence), request_(request) {
    has_gradient_ = request.is_image_trained;
  }

  at::Tensor run(UnitKind kind, const at::Tensor& input, UnitGraph VitTape::*member) {
    const Unit unit{kind};
    const UnitFunction function = unit_function(context_, kind, sequence_);
    const UnitLease lease = store_.acquire(unit, Pass::kForward);
    const bool is_input_trained = has_gradient_;
    note_trained(unit);
    if (request_.tape == nullptr || !has_gradient_) return function(lease.weights(), input);
    UnitGraph& graph = request_.tape->*member;
    if (!store_.is_keeping()) {
      graph.input = input;
      graph.is_input_trained = is_input_trained;
      return function(lease.weights(), input);
    }
    graph = record_unit(function, lease.weights(), input, trained_names(request_.sink, unit),
                        is_input_trained);
    return graph.output.detach();
  }

  /// From the first trained unit on, gradients flow.
  void note_trained(const Unit& unit) {
    has_gradient_ = has_gradient_ || !trained_names(request_.sink, unit).empty();
  }
  bool has_gradient() const { return has_gradient_; }

 private:
  const ModelContext& context_;
  WeightStore& store_;
  const Sequence& sequence_;
  const VitRequest& request_;
  bool has_gradient_ = false;
};

at::Tensor sum_defined(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined()) return b;
  return b.defined() ? a + b.to(a.scalar_type()) : a;
}

/// What the backward passes of the units around the encoder share.
struct BackwardWalk {
  const ModelContext& context;
  WeightStore& store;
  const Sequence& sequence;
  GradientSink* sink;

  at::Tensor through(UnitGraph& graph, UnitKind kind, const at::Tensor& gradient) const {
    if (!graph.input.defined() || !gradient.defined()) return gradient;
    const Unit unit{kind};
    const std::set<std::string>& trained = trained_names(sink, unit);
    if (!graph.output.defined()) {
      const UnitLease lease = store.acquire(unit, Pass::kBackward);
      graph = record_unit(unit_function(context, kind, sequence), lease.weights(), graph.input,
                          trained, graph.is_input_trained);
    }
    UnitGrads* grads = trained.empty() ? nullptr : &sink->begin(unit);
    at::Tensor input_gradient = backward_unit(graph, gradient, grads);
    if (grads != nullptr) sink->commit(unit);
    return input_gradient;
  }
};

}  // namespace

std::vector<Unit> model_units(const ViTConfig& config) {
  std::vector<Unit> units = {{UnitKind::kEmbedding}};
  for (int64_t i = 0; i < config.depth; ++i) units.push_back(block_unit(i));
  if (config.has_final_norm()) units.push_back({UnitKind::kFinalNorm});
  if (config.has_pool()) units.push_back({UnitKind::kPool});
  if (config.has_head()) units.push_back({UnitKind::kHead});
  return units;
}

namespace {

/// The outputs of no images: those of one, without it. Kernels are never asked about nothing.
VitOutputs outputs_of_none(const ModelContext& context, WeightStore& store,
                           const at::Tensor& images_0CHW, const VitRequest& request) {
  VIT22B_CHECK(request.tape == nullptr, "vit_forward: a tape of no images");
  std::vector<int64_t> shape = images_0CHW.sizes().vec();
  shape.front() = 1;
  VitOutputs outputs =
      vit_forward(context, store, at::zeros(shape, images_0CHW.options()), {.taps = request.taps});
  const auto empty = [](at::Tensor& tensor) {
    if (tensor.defined()) tensor = tensor.slice(0, 0, 0);
  };
  for (at::Tensor* tensor : {&outputs.tokens_BTD, &outputs.pooled_BD, &outputs.logits_BC})
    empty(*tensor);
  for (auto& [block, output] : outputs.blocks) empty(output);
  return outputs;
}

/// The mean over an ensemble's members in place of all of them.
void average_members(const ViTConfig& config, VitTape* tape, VitOutputs& outputs) {
  const int64_t members = config.plex.members();
  const UnitFunction mean = [&config](const NamedTensors&, const at::Tensor& logits_NC) {
    return mean_over_members(logits_NC, config.plex.members(), link_of(config.plex));
  };
  const auto average = [&](at::Tensor& tensor) {
    if (tensor.defined()) tensor = tensor.unflatten(0, {members, -1}).mean(0);
  };
  average(outputs.tokens_BTD);
  average(outputs.pooled_BD);
  for (auto& [block, output] : outputs.blocks)
    if (block >= config.first_ensemble_block()) average(output);
  if (tape == nullptr || !tape->head.input.defined()) {
    outputs.logits_BC = mean({}, outputs.logits_BC);
    return;
  }
  tape->members = record_unit(mean, {}, outputs.logits_BC, {}, /*is_input_trained=*/true);
  outputs.logits_BC = tape->members.output.detach();
}

}  // namespace

VitOutputs vit_forward(const ModelContext& context, WeightStore& store,
                       const at::Tensor& images_BCHW, const VitRequest& request) {
  if (images_BCHW.dim() > 0 && images_BCHW.size(0) == 0)
    return outputs_of_none(context, store, images_BCHW, request);
  const ViTConfig& config = context.config;
  EncoderRequest encoder_request{.sequence = sequence_of(config, images_BCHW),
                                 .taps = request.taps,
                                 .sink = request.sink,
                                 .first_block = 0};
  UnitRunner runner(context, store, encoder_request.sequence, request);
  VitOutputs outputs;
  at::Tensor x = runner.run(UnitKind::kEmbedding, images_BCHW, &VitTape::embedding);
  while (encoder_request.first_block < config.depth) {
    runner.note_trained(block_unit(encoder_request.first_block));
    if (runner.has_gradient()) break;
    ++encoder_request.first_block;
  }
  if (request.tape != nullptr) encoder_request.tape = &request.tape->encoder;
  x = encoder_forward(context, store, x, encoder_request, outputs.blocks);

  if (config.has_final_norm()) x = runner.run(UnitKind::kFinalNorm, x, &VitTape::final_norm);
  outputs.tokens_BTD = x;
  if (!config.has_pool() || request.is_of_tokens) return outputs;
  outputs.pooled_BD = runner.run(UnitKind::kPool, x, &VitTape::pool);
  if (config.has_head())
    outputs.logits_BC = runner.run(UnitKind::kHead, outputs.pooled_BD, &VitTape::head);
  if (config.plex.has_members() && !request.keeps_members)
    average_members(config, request.tape, outputs);
  return outputs;
}

at::Tensor vit_backward(const ModelContext& context, WeightStore& store, VitTape& tape,
                        const VitOutputGrads& gradients, GradientSink* sink) {
  const BackwardWalk walk{context, store, tape.encoder.sequence, sink};
  at::Tensor gradient = gradients.logits_BC;
  if (tape.members.output.defined()) {
    VIT22B_CHECK(!gradients.pooled_BD.defined() && !gradients.tokens_BTD.defined() &&
                     gradients.blocks.empty(),
                 "vit_backward: of an ensemble's mean the logits alone have gradients");
    if (gradient.defined()) gradient = backward_unit(tape.members, gradient, nullptr);
  }
  gradient = walk.through(tape.head, UnitKind::kHead, gradient);
  gradient = walk.through(tape.pool, UnitKind::kPool, sum_defined(gradients.pooled_BD, gradient));
  gradient = walk.through(tape.final_norm, UnitKind::kFinalNorm,
                          sum_defined(gradients.tokens_BTD, gradient));

  BlockTensors block_gradients = gradients.blocks;
  at::Tensor& last = block_gradients[context.config.depth - 1];
  last = sum_defined(last, gradient);
  if (!last.defined()) block_gradients.erase(context.config.depth - 1);
  gradient = encoder_backward(context, store, tape.encoder, block_gradients, sink);
  return walk.through(tape.embedding, UnitKind::kEmbedding, gradient);
}

void observe_blocks(const ModelContext& context, WeightStore& store, const at::Tensor& images_BCHW,
                    const std::function<void(const ObservedBlock&)>& observe) {
  const UnitLease embedding = store.acquire({UnitKind::kEmbedding}, Pass::kForward);
  at::Tensor x = embed(context.config, {context.block, embedding.weights(), context.mesh},
                       images_BCHW, context.compute_type, context.type_of_residual());
  const Sequence sequence = sequence_of(context.config, images_BCHW);
  for (int64_t i = 0; i < context.config.depth; ++i) {
    const UnitLease lease = store.acquire(block_unit(i), Pass::kForward);
    if (i == context.config.first_ensemble_block())
      x = for_members(x, context.config.plex.members());
    const BlockSpec& block = context.block_at(i);
    const QueriesKeys qk = block_queries_keys({block, lease.weights(), context.mesh}, x, sequence);
    x = context.engine.forward({block, lease.weights(), sequence}, x);
    observe({i, qk, x});
  }
}

void observe_attention(const ModelContext& context, WeightStore& store,
                       const at::Tensor& images_BCHW,
                       const std::function<void(int64_t block, const QueriesKeys&)>& observe) {
  observe_blocks(context, store, images_BCHW,
                 [&](const ObservedBlock& block) { observe(block.index, block.qk); });
}

}  // namespace vit22b
