#include "dist/ring_linear.h"

#include <torch/csrc/autograd/custom_function.h>

#include "core/error.h"
#include "dist/ring.h"

namespace vit22b {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The mesh outlives every graph, which keeps its address.
struct MeshAddress : torch::CustomClassHolder {
  explicit MeshAddress(const Mesh* address) : mesh(address) {}
  const Mesh* mesh;
};

const Mesh& mesh_of(AutogradContext* context) {
  return *static_cast<const MeshAddress&>(*context->saved_data["mesh"].toCapsule()).mesh;
}
void keep_mesh(AutogradContext* context, const Mesh& mesh) {
  context->saved_data["mesh"] = c10::IValue::make_capsule(c10::make_intrusive<MeshAddress>(&mesh));
}

at::Tensor as_rows(const at::Tensor& x) {
  return x.reshape({-1, x.size(-1)}).contiguous();
}

at::Tensor like(const at::Tensor& rows, const at::Tensor& x) {
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = rows.size(1);
  return rows.to(x.scalar_type()).view(shape);
}

// a b in float32: bfloat16 factors are multiplied exactly.
at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  return at::matmul(a.to(at::kFloat), b.to(at::kFloat));
}

// Columns of a matrix that belong to a rank's part of the residual stream.
at::Tensor columns_of(const at::Tensor& matrix, int64_t rank, int64_t width) {
  return matrix.narrow(1, rank * width, width);
}
at::Tensor rows_of(const at::Tensor& matrix, int64_t rank, int64_t width) {
  return matrix.narrow(0, rank * width, width);
}

struct RowLinear : torch::autograd::Function<RowLinear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const Mesh* mesh) {
    keep_mesh(context, *mesh);
    const at::Tensor rows = as_rows(x), w = weight.to(x.scalar_type());
    const int64_t width = rows.size(1);
    // The gathered input is kept for the weight's gradient.
    at::Tensor gathered = at::empty({rows.size(0), weight.size(1)}, rows.options());
    const at::Tensor sum =
        at::zeros({rows.size(0), weight.size(0)}, rows.options().dtype(at::kFloat));
    ring_gather(
        *mesh, rows,
        [&](const RingBlock& block) {
          columns_of(gathered, block.source, width)
              .narrow(0, block.rows.first, block.rows.count)
              .copy_(block.tensor);
          sum.narrow(0, block.rows.first, block.rows.count)
              .add_(product(block.tensor, columns_of(w, block.source, width).t()));
        },
        "row_linear input");
    context->save_for_backward({gathered, weight});
    context->saved_data["shape"] = x.sizes().vec();
    return like(sum, x);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &gathered = saved[0], &weight = saved[1];
    const at::Tensor d_y = as_rows(gradients[0]);
    at::Tensor d_x, d_weight;
    if (context->needs_input_grad(0)) {
      const std::vector<int64_t> shape = context->saved_data["shape"].toIntVector();
      const int64_t width = shape.back();
      const at::Tensor w = weight.to(d_y.scalar_type());
      d_x = ring_reduce(
                mesh_of(context), {d_y.size(0), width, d_y.device()},
                [&](const RingPart& part) {
                  part.sum.copy_(product(d_y.narrow(0, part.rows.first, part.rows.count),
                                         columns_of(w, part.destination, width)));
                },
                "row_linear input gradient")
                .to(d_y.scalar_type())
                .view(shape);
    }
    if (context->needs_input_grad(1)) d_weight = product(d_y.t(), gathered);
    return {d_x, d_weight, at::Tensor()};
  }
};

struct ColumnLinear : torch::autograd::Function<ColumnLinear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x1, const at::Tensor& w1,
                            const at::Tensor& x2, const at::Tensor& w2, const Mesh* mesh) {
    keep_mesh(context, *mesh);
    const int64_t width = w1.size(0) / mesh->size(MeshAxis::kModel);
    std::vector<std::pair<at::Tensor, at::Tensor>> terms = {{as_rows(x1), w1.to(x1.scalar_type())}};
    if (x2.numel() > 0) terms.emplace_back(as_rows(x2), w2.to(x1.scalar_type()));
    const at::Tensor sum = ring_reduce(
        *mesh, {terms[0].first.size(0), width, x1.device()},
        [&](const RingPart& part) {
          bool is_first = true;
          for (const auto& [x, w] : terms) {
            const at::Tensor value = product(x.narrow(0, part.rows.first, part.rows.count),
                                             rows_of(w, part.destination, width).t());
            is_first ? part.sum.copy_(value) : part.sum.add_(value);
            is_first = false;
          }
        },
        "column_linear output");
    context->save_for_backward({x1, w1, x2, w2});
    return like(sum, x1);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const size_t count = saved[2].numel() > 0 ? 2 : 1;
    const at::Tensor d_y = as_rows(gradients[0]);
    const int64_t width = d_y.size(1);
    variable_list results(5);
    std::vector<at::Tensor> d_x(2), d_w(2), x(2), w(2);
    for (size_t i = 0; i < count; ++i) {
      x[i] = as_rows(saved[2 * i]);
      w[i] = saved[2 * i + 1].to(d_y.scalar_type());
      d_x[i] = at::zeros_like(x[i], at::kFloat);
      d_w[i] = at::zeros_like(w[i], at::kFloat);
    }
    // One gathering serves the gradients of all inputs and weights.
    ring_gather(
        mesh_of(context), d_y,
        [&](const RingBlock& block) {
          for (size_t i = 0; i < count; ++i) {
            d_x[i]
                .narrow(0, block.rows.first, block.rows.count)
                .add_(product(block.tensor, rows_of(w[i], block.source, width)));
            rows_of(d_w[i], block.source, width)
                .add_(
                    product(block.tensor.t(), x[i].narrow(0, block.rows.first, block.rows.count)));
          }
        },
        "column_linear output gradient");
    for (size_t i = 0; i < count; ++i) {
      if (context->needs_input_grad(2 * i)) results[2 * i] = like(d_x[i], saved[2 * i]);
      if (context->needs_input_grad(2 * i + 1)) results[2 * i + 1] = d_w[i];
    }
    return results;
  }
};

struct SumOverModel : torch::autograd::Function<SumOverModel> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const Mesh* mesh) {
    keep_mesh(context, *mesh);
    at::Tensor sum = x.clone(at::MemoryFormat::Contiguous);
    mesh->sum_(sum, MeshAxis::kModel, "statistic of a norm");
    return sum;
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const at::Tensor sum = gradients[0].clone(at::MemoryFormat::Contiguous);
    mesh_of(context).sum_(sum, MeshAxis::kModel, "gradient of a norm's statistic");
    return {sum, at::Tensor()};
  }
};

}  // namespace

at::Tensor row_linear(const Mesh& mesh, const at::Tensor& x_local, const at::Tensor& weight_local) {
  if (mesh.size(MeshAxis::kModel) == 1)
    return at::linear(x_local, weight_local.to(x_local.scalar_type()));
  return RowLinear::apply(x_local, weight_local, &mesh);
}

at::Tensor column_linear(const Mesh& mesh, const std::vector<ColumnTerm>& terms) {
  VIT22B_CHECK(!terms.empty() && terms.size() <= 2, "column_linear: one or two terms");
  if (mesh.size(MeshAxis::kModel) == 1) {
    at::Tensor sum;
    for (const auto& [x, weight] : terms) {
      const at::Tensor value = at::linear(x, weight.to(x.scalar_type()));
      sum = sum.defined() ? sum + value : value;
    }
    return sum;
  }
  const at::Tensor none = at::empty({0});
  const ColumnTerm second = terms.size() == 2 ? terms[1] : ColumnTerm{none, none};
  return ColumnLinear::apply(terms[0].x_local, terms[0].weight_local, second.x_local,
                             second.weight_local, &mesh);
}

at::Tensor sum_over_model(const Mesh& mesh, const at::Tensor& x) {
  return mesh.size(MeshAxis::kModel) == 1 ? x : SumOverModel::apply(x, &mesh);
}

at::Tensor gather_columns(const Mesh& mesh, const at::Tensor& part, int64_t whole) {
  if (mesh.size(MeshAxis::kModel) == 1) return part;
  const at::Tensor columns_first = part.movedim(-1, 0).contiguous();
  std::vector<int64_t> shape = columns_first.sizes().vec();
  shape[0] = whole;
  const at::Tensor all = at::empty(shape, part.options());
  mesh.along(MeshAxis::kModel).all_gather(columns_first, all, "columns");
  return all.movedim(0, -1).contiguous();
}

}  // namespace vit22b
