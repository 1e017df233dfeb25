#include <torch/csrc/autograd/custom_function.h>

#include "kernels/cpu/query_attention.h"
#include "model/engine/engines.h"
#include "model/engine/fused_block.h"

namespace vit22b {
namespace {

cpu::QueryAttentionShape shape_of(const at::Tensor& query, const at::Tensor& keys_values,
                                  int64_t num_heads) {
  return {.images = keys_values.size(0),
          .tokens = keys_values.size(1),
          .heads = num_heads,
          .head_size = query.size(0) / num_heads,
          .query = fused::rows_of(query),
          .keys_values = fused::rows_of(keys_values)};
}

struct Attended {
  at::Tensor out_BD, weights_BHT;
};

Attended forward_attention(const at::Tensor& query, const at::Tensor& keys_values,
                           int64_t num_heads) {
  const cpu::QueryAttentionShape shape = shape_of(query, keys_values, num_heads);
  Attended a{at::empty({shape.images, query.size(0)}, query.options()),
             at::empty({shape.images, num_heads, shape.tokens}, query.options().dtype(at::kFloat))};
  cpu::query_attention_forward(shape, a.weights_BHT.mutable_data_ptr<float>(),
                               fused::rows_of(a.out_BD));
  return a;
}

struct FusedQueryAttention : torch::autograd::Function<FusedQueryAttention> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& query,
                            const at::Tensor& keys_values, int64_t num_heads) {
    const Attended attended = forward_attention(query, keys_values, num_heads);
    context->save_for_backward({query, keys_values, attended.weights_BHT});
    return attended.out_BD;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &query = saved[0], &keys_values = saved[1], &weights_BHT = saved[2];
    const at::Tensor d_out = gradients[0].contiguous();
    at::Tensor d_query = at::empty_like(query, at::kFloat),
               d_keys_values = at::empty_like(keys_values);
    cpu::query_attention_backward(shape_of(query, keys_values, weights_BHT.size(1)),
                                  weights_BHT.const_data_ptr<float>(), fused::rows_of(d_out),
                                  fused::rows_of(d_keys_values), d_query.mutable_data_ptr<float>());
    return {d_query.to(query.scalar_type()), d_keys_values, at::Tensor()};
  }
};

bool is_taken(const at::Tensor& x) {
  return fused::is_readable(x) && x.is_contiguous() && x.numel() > 0;
}

}  // namespace

at::Tensor fused_query_attention(const at::Tensor& query_D, const at::Tensor& keys_values_BT2D,
                                 int64_t num_heads) {
  if (!is_taken(query_D) || !is_taken(keys_values_BT2D))
    return plain_query_attention(query_D, keys_values_BT2D, num_heads);
  if (!at::GradMode::is_enabled())
    return forward_attention(query_D, keys_values_BT2D, num_heads).out_BD;
  return FusedQueryAttention::apply(query_D, keys_values_BT2D, num_heads);
}

}  // namespace vit22b
