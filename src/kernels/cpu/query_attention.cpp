#include "kernels/cpu/query_attention.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cpu/softmax.h"
#include "kernels/cpu/tasks.h"

namespace vit22b::cpu {
namespace {

/// One head of one image.
struct QueryHead {
  const QueryAttentionShape& s;
  int64_t image, head;

  // Its columns of the keys (part 0) or values (part 1), or of the gradient of either.
  Rows tokens(const Rows& keys_values, int64_t part) const {
    return keys_values.at(image * s.tokens, part * s.heads * s.head_size + column());
  }
  int64_t column() const { return head * s.head_size; }
  int64_t first_weight() const { return (image * s.heads + head) * s.tokens; }
};

float scale_of(const QueryAttentionShape& s) {
  return 1 / std::sqrt(static_cast<float>(s.head_size));
}

// A row in float32.
std::vector<float> row_of(const Rows& from, int64_t columns, float factor = 1) {
  std::vector<float> row(static_cast<size_t>(columns));
  scale_copy(from, 1, columns, factor, {row.data(), columns});
  return row;
}

// The same row for each token.
Rows repeated(const float* row) {
  return {const_cast<float*>(row), 0};
}

// `query` is scaled; `out` is float32.
void forward_head(const QueryHead& h, const float* query, float* weights, float* out) {
  const auto& s = h.s;
  row_dots(h.tokens(s.keys_values, 0), repeated(query), s.tokens, s.head_size, weights);
  float maximum = -std::numeric_limits<float>::infinity(), sum = 0, correction = 0;
  const Tile scores{weights, s.tokens, 1, s.tokens};
  online_softmax(scores, {weights, s.tokens}, &maximum, &sum, &correction);
  const float inverse = 1 / sum;
  scale_rows(scores, &inverse);
  std::fill_n(out, s.head_size, 0.0F);
  add_weighted_rows(h.tokens(s.keys_values, 1), weights, s.tokens, s.head_size, out);
}

// What every head of a share uses in turn.
struct BackwardRows {
  std::vector<float> query;    // [H * K], scaled
  std::vector<float> d_out;    // [H * K], of an image
  std::vector<float> d_score;  // [T]
};

void backward_head(const QueryHead& h, const float* weights, BackwardRows& rows,
                   const Rows& d_keys_values, float* d_query) {
  const auto& s = h.s;
  const float *d_out = rows.d_out.data() + h.column(), *query = rows.query.data() + h.column();
  outer_product(weights, d_out, s.tokens, s.head_size, h.tokens(d_keys_values, 1));
  float* d_score = rows.d_score.data();
  row_dots(h.tokens(s.keys_values, 1), repeated(d_out), s.tokens, s.head_size, d_score);
  float mean = 0;
  row_dots({const_cast<float*>(weights), s.tokens}, {d_score, s.tokens}, 1, s.tokens, &mean);
  for (int64_t t = 0; t < s.tokens; ++t) d_score[t] = weights[t] * (d_score[t] - mean);
  outer_product(d_score, query, s.tokens, s.head_size, h.tokens(d_keys_values, 0));
  add_weighted_rows(h.tokens(s.keys_values, 0), d_score, s.tokens, s.head_size, d_query);
}

}  // namespace

void query_attention_forward(const QueryAttentionShape& s, float* weights, const Rows& out) {
  const int64_t width = s.heads * s.head_size;
  const std::vector<float> query = row_of(s.query, width, scale_of(s));
  for_each_task(s.images, [&](int64_t image) {
    std::vector<float> row(static_cast<size_t>(width));
    for (int64_t head = 0; head < s.heads; ++head) {
      const QueryHead h{s, image, head};
      forward_head(h, query.data() + h.column(), weights + h.first_weight(),
                   row.data() + h.column());
    }
    store_rows({row.data(), width, 1, width}, out.at(image, 0));
  });
}

void query_attention_backward(const QueryAttentionShape& s, const float* weights, const Rows& d_out,
                              const Rows& d_keys_values, float* d_query) {
  // Each share of the images sums for itself; the shares are then added in order.
  const int64_t width = s.heads * s.head_size;
  const int64_t shares = std::min<int64_t>(at::get_num_threads(), s.images);
  const float scale = scale_of(s);
  std::vector<float> sums(static_cast<size_t>(shares * width), 0.0F);
  for_each_task(shares, [&](int64_t share) {
    BackwardRows rows{row_of(s.query, width, scale), {}, std::vector<float>(s.tokens)};
    for (int64_t i = share * s.images / shares; i < (share + 1) * s.images / shares; ++i) {
      rows.d_out = row_of(d_out.at(i, 0), width);
      for (int64_t head = 0; head < s.heads; ++head) {
        const QueryHead h{s, i, head};
        backward_head(h, weights + h.first_weight(), rows, d_keys_values,
                      sums.data() + share * width + h.column());
      }
    }
  });
  std::fill_n(d_query, width, 0.0F);
  add_column_sums({sums.data(), width}, shares, width, d_query);
  scale_copy({d_query, width}, 1, width, scale, {d_query, width});
}

}  // namespace vit22b::cpu
