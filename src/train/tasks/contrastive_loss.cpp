#include "train/tasks/contrastive_loss.h"

#include <limits>

#include "core/error.h"

namespace vit22b {
namespace {

constexpr int64_t kLogitsAtOnce = int64_t{4} << 20;

/// Sums over images, column by column, that come chunk by chunk and rank by rank.
class ColumnLogSums {
 public:
  ColumnLogSums(int64_t columns, const at::TensorOptions& options)
      : largest_N_(at::full({columns}, -std::numeric_limits<float>::infinity(), options)),
        sums_N_(at::zeros({columns}, options)) {}

  void add(const at::Tensor& logits_BN) {
    const at::Tensor largest = at::maximum(largest_N_, logits_BN.amax(0));
    sums_N_ = sums_N_ * (largest_N_ - largest).exp() + (logits_BN - largest).exp().sum(0);
    largest_N_ = largest;
  }
  /// Over all ranks of the data axis.
  at::Tensor finish(const Mesh& mesh) const {
    const at::Tensor largest = largest_N_.clone();
    mesh.max_(largest, MeshAxis::kData, "largest contrastive logits");
    const at::Tensor sums = sums_N_ * (largest_N_ - largest).exp();
    mesh.sum_(sums, MeshAxis::kData, "contrastive softmax");
    return largest + sums.log();
  }

 private:
  at::Tensor largest_N_, sums_N_;
};

/// One rank's part of the loss.
class Pairs {
 public:
  Pairs(const at::Tensor& images_BE, const at::Tensor& texts_BF, const Mesh& mesh, int64_t chunk)
      : mesh_(mesh),
        images_BF_(at::constant_pad_nd(images_BE, {0, 1}, 1)),
        num_images_(images_BE.size(0)) {
    const int64_t all = num_images_ * mesh.size(MeshAxis::kData);
    first_ = mesh.share(MeshAxis::kData, all).first;
    texts_NF_ = at::zeros({all, texts_BF.size(1)}, texts_BF.options());
    own_rows(texts_NF_).copy_(texts_BF);
    mesh.sum_(texts_NF_, MeshAxis::kData, "text embeddings");
    chunk_ = chunk > 0 ? chunk : std::max<int64_t>(1, kLogitsAtOnce / all);
    text_gradient_NF_ = at::zeros_like(texts_NF_);
    image_gradient_BF_ = at::empty_like(images_BF_);
  }

  ContrastiveLoss sigmoid() {
    at::Tensor sum = zero();
    for (int64_t first = 0; first < num_images_; first += chunk_) {
      const at::Tensor z = logits(first);
      const at::Tensor own = own_logits(z, first);
      // -log s(-z) for all pairs, then those that belong together: -log s(z) = -log s(-z) - z.
      sum += at::softplus(z).sum(at::kDouble) - own.sum(at::kDouble);
      at::Tensor errors = at::sigmoid(z);
      own_logits(errors, first).sub_(1);
      add_gradients(errors, first);
    }
    return result(sum);
  }

  ContrastiveLoss softmax() {
    ColumnLogSums columns(texts_NF_.size(0), texts_NF_.options());
    std::vector<at::Tensor> rows_of_chunks;
    at::Tensor sum = zero();
    for (int64_t first = 0; first < num_images_; first += chunk_) {
      const at::Tensor z = logits(first);
      columns.add(z);
      rows_of_chunks.push_back(at::logsumexp(z, {1}, /*keepdim=*/true));
      sum += rows_of_chunks.back().sum(at::kDouble) / 2 - own_logits(z, first).sum(at::kDouble);
    }
    const at::Tensor columns_N = columns.finish(mesh_);
    sum += own_rows(columns_N).sum(at::kDouble) / 2;
    for (int64_t first = 0; first < num_images_; first += chunk_) {
      const at::Tensor z = logits(first);
      at::Tensor errors = (z - rows_of_chunks[static_cast<size_t>(first / chunk_)]).exp();
      errors.add_((z - columns_N).exp()).div_(2);
      own_logits(errors, first).sub_(1);
      add_gradients(errors, first);
    }
    return result(sum);
  }

 private:
  at::Tensor zero() const { return at::zeros({}, texts_NF_.options().dtype(at::kDouble)); }
  at::Tensor own_rows(const at::Tensor& of_all) const {
    return of_all.slice(0, first_, first_ + num_images_);
  }
  at::Tensor chunk_rows(const at::Tensor& of_images, int64_t first) const {
    return of_images.slice(0, first, std::min(first + chunk_, num_images_));
  }
  at::Tensor logits(int64_t first) const {
    return at::mm(chunk_rows(images_BF_, first), texts_NF_.t());
  }
  /// The logits of the pairs that belong together, sharing storage.
  at::Tensor own_logits(const at::Tensor& z, int64_t first) const {
    return z.diagonal(first_ + first);
  }
  /// errors_BN  gradient of the sum over the images with respect to the logits
  void add_gradients(const at::Tensor& errors_BN, int64_t first) {
    text_gradient_NF_.addmm_(errors_BN.t(), chunk_rows(images_BF_, first));
    chunk_rows(image_gradient_BF_, first).copy_(at::mm(errors_BN, texts_NF_));
  }
  ContrastiveLoss result(const at::Tensor& sum) const {
    const auto images = static_cast<double>(num_images_);
    mesh_.sum_(text_gradient_NF_, MeshAxis::kData, "gradient of text embeddings");
    return {(sum / images).to(at::kFloat), image_gradient_BF_.slice(1, 0, -1) / images,
            own_rows(text_gradient_NF_) / images};
  }

  const Mesh& mesh_;
  at::Tensor images_BF_;
  int64_t num_images_, first_ = 0, chunk_ = 1;
  at::Tensor texts_NF_, text_gradient_NF_, image_gradient_BF_;
};

}  // namespace

ContrastiveLoss contrastive_loss(const std::string& kind, const at::Tensor& images_BE,
                                 const at::Tensor& texts_BF, const Mesh& mesh, int64_t chunk) {
  VIT22B_CHECK(images_BE.size(0) == texts_BF.size(0) && images_BE.size(1) + 1 == texts_BF.size(1),
               "contrastive_loss: ", images_BE.sizes(), " and ", texts_BF.sizes());
  const at::NoGradGuard no_grad;
  Pairs pairs(images_BE.to(at::kFloat), texts_BF.to(at::kFloat), mesh, chunk);
  return kind == "softmax" ? pairs.softmax() : pairs.sigmoid();
}

}  // namespace vit22b
