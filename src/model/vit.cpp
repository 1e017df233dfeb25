#include "model/vit.h"

#include "model/embedding.h"
#include "model/layers.h"
#include "model/pooling.h"

namespace vit22b {
namespace {

/// A pass over the units around the encoder: runs each, recording it when a gradient has to come
/// back through it.
class UnitRunner {
 public:
  UnitRunner(WeightStore& store, const VitRequest& request) : store_(store), request_(request) {
    has_gradient_ = request.is_image_trained;
  }

  at::Tensor run(const Unit& unit, const UnitFunction& function, const at::Tensor& input,
                 UnitGraph* graph) {
    const UnitLease lease = store_.acquire(unit, Pass::kForward);
    const bool is_input_trained = has_gradient_;
    note_trained(unit);
    if (request_.tape == nullptr || !has_gradient_) return function(lease.weights(), input);
    *graph = record_unit(function, lease.weights(), input, trained_names(request_.sink, unit),
                         is_input_trained);
    return graph->output.detach();
  }

  /// From the first trained unit on, gradients flow.
  void note_trained(const Unit& unit) {
    has_gradient_ = has_gradient_ || !trained_names(request_.sink, unit).empty();
  }
  bool has_gradient() const { return has_gradient_; }

 private:
  WeightStore& store_;
  const VitRequest& request_;
  bool has_gradient_ = false;
};

at::Tensor sum_defined(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined()) return b;
  return b.defined() ? a + b.to(a.scalar_type()) : a;
}

at::Tensor backward_through(UnitGraph& graph, const Unit& unit, const at::Tensor& gradient,
                            GradientSink* sink) {
  if (!graph.output.defined() || !gradient.defined()) return gradient;
  const bool is_trained = !trained_names(sink, unit).empty();
  UnitGrads* grads = is_trained ? &sink->begin(unit) : nullptr;
  at::Tensor input_gradient = backward_unit(graph, gradient, grads);
  if (is_trained) sink->commit(unit);
  return input_gradient;
}

}  // namespace

std::vector<Unit> model_units(const ViTConfig& config) {
  std::vector<Unit> units = {{UnitKind::kEmbedding}};
  for (int64_t i = 0; i < config.depth; ++i) units.push_back(block_unit(i));
  if (config.has_final_norm()) units.push_back({UnitKind::kFinalNorm});
  units.push_back({UnitKind::kPool});
  if (config.has_head()) units.push_back({UnitKind::kHead});
  return units;
}

VitOutputs vit_forward(const ModelContext& context, WeightStore& store,
                       const at::Tensor& images_BCHW, const VitRequest& request) {
  const ViTConfig& config = context.config;
  UnitRunner runner(store, request);
  VitTape* tape = request.tape;
  VitOutputs outputs;

  const auto embed = [&](const NamedTensors& w, const at::Tensor& x) {
    return embed_images(config, w, x, context.compute_type, context.engine.linear());
  };
  at::Tensor x = runner.run({UnitKind::kEmbedding}, embed, images_BCHW,
                            tape != nullptr ? &tape->embedding : nullptr);

  EncoderRequest encoder_request{.taps = request.taps, .sink = request.sink, .first_block = 0};
  while (encoder_request.first_block < config.depth) {
    runner.note_trained(block_unit(encoder_request.first_block));
    if (runner.has_gradient()) break;
    ++encoder_request.first_block;
  }
  if (tape != nullptr) encoder_request.tape = &tape->encoder;
  x = encoder_forward(context, store, x, encoder_request, outputs.blocks);

  if (config.has_final_norm()) {
    const auto normalise = [&](const NamedTensors& w, const at::Tensor& t) {
      return norm(config, w, "norm", t);
    };
    x = runner.run({UnitKind::kFinalNorm}, normalise, x,
                   tape != nullptr ? &tape->final_norm : nullptr);
  }
  outputs.tokens_BTD = x;

  const auto pool = [&](const NamedTensors& w, const at::Tensor& t) {
    return pool_tokens(config, w, t, context.engine.linear());
  };
  outputs.pooled_BD =
      runner.run({UnitKind::kPool}, pool, x, tape != nullptr ? &tape->pool : nullptr);
  if (config.has_head()) {
    const auto classify = [&](const NamedTensors& w, const at::Tensor& t) {
      return linear(w, "head", t.to(at::kFloat), context.engine.linear());
    };
    outputs.logits_BC = runner.run({UnitKind::kHead}, classify, outputs.pooled_BD,
                                   tape != nullptr ? &tape->head : nullptr);
  }
  return outputs;
}

at::Tensor vit_backward(const ModelContext& context, WeightStore& store, VitTape& tape,
                        const VitOutputGrads& gradients, GradientSink* sink) {
  at::Tensor gradient = backward_through(tape.head, {UnitKind::kHead}, gradients.logits_BC, sink);
  gradient = backward_through(tape.pool, {UnitKind::kPool},
                              sum_defined(gradients.pooled_BD, gradient), sink);
  gradient = backward_through(tape.final_norm, {UnitKind::kFinalNorm},
                              sum_defined(gradients.tokens_BTD, gradient), sink);

  BlockTensors block_gradients = gradients.blocks;
  at::Tensor& last = block_gradients[context.config.depth - 1];
  last = sum_defined(last, gradient);
  if (!last.defined()) block_gradients.erase(context.config.depth - 1);
  gradient = encoder_backward(context, store, tape.encoder, block_gradients, sink);
  return backward_through(tape.embedding, {UnitKind::kEmbedding}, gradient, sink);
}

void observe_attention(const ModelContext& context, WeightStore& store,
                       const at::Tensor& images_BCHW,
                       const std::function<void(int64_t block, const QueriesKeys&)>& observe) {
  const UnitLease embedding = store.acquire({UnitKind::kEmbedding}, Pass::kForward);
  at::Tensor x =
      embed_images(context.config, embedding.weights(), images_BCHW, context.compute_type);
  for (int64_t i = 0; i < context.config.depth; ++i) {
    const UnitLease lease = store.acquire(block_unit(i), Pass::kForward);
    observe(i, block_queries_keys(context.config, lease.weights(), x));
    x = context.engine.forward(context.config, lease.weights(), x);
  }
}

}  // namespace vit22b
