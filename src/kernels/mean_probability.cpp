#include "kernels/mean_probability.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace vit22b {
namespace {

constexpr double kLeastProbability = 1e-7;          // edward2's eps
constexpr int64_t kPieceValues = int64_t{1} << 22;  // of images, samples and classes: 16 MiB

/// Some images' distributions and some samples' numbers.
struct Piece {
  NoisyLogits logits;
  LogitNoise noise;
  int64_t first_image = 0, images = 0;
};

at::Tensor part(const at::Tensor& tensor, int64_t first, int64_t count) {
  return tensor.defined() ? tensor.narrow(0, first, count) : tensor;
}

// Calls with pieces of at most kPieceValues latent logits, or of one image and one sample.
void for_each_piece(const NoisyLogits& z, const LogitNoise& noise,
                    const std::function<void(const Piece&)>& call) {
  const int64_t images = z.mean_BC.size(0), classes = std::max<int64_t>(z.mean_BC.size(1), 1);
  const int64_t samples = noise.classes_SC.size(0);
  const int64_t most_samples = std::clamp<int64_t>(kPieceValues / classes, 1, samples);
  const int64_t most_images =
      std::clamp<int64_t>(kPieceValues / (classes * most_samples), 1, std::max<int64_t>(images, 1));
  for (int64_t b = 0; b < images; b += most_images)
    for (int64_t s = 0; s < samples; s += most_samples) {
      const int64_t nb = std::min(most_images, images - b),
                    ns = std::min(most_samples, samples - s);
      call({{part(z.mean_BC, b, nb), part(z.factors_BCK, b, nb), part(z.scale_BC, b, nb)},
            {part(noise.factors_SK, s, ns), part(noise.classes_SC, s, ns)},
            b,
            nb});
    }
}

// [b, s, C]
at::Tensor probabilities(const Piece& piece, double temperature, Link link) {
  const auto& [z, noise, first, images] = piece;
  at::Tensor latent = z.mean_BC.unsqueeze(1) + z.scale_BC.unsqueeze(1) * noise.classes_SC;
  if (z.factors_BCK.defined())
    latent.add_(at::matmul(noise.factors_SK, z.factors_BCK.transpose(1, 2)));
  latent.div_(temperature);
  return link == Link::kSoftmax ? at::softmax(latent, -1) : latent.sigmoid_();
}

at::Tensor mean_probability(const NoisyLogits& z, const LogitNoise& noise, double temperature,
                            Link link) {
  at::Tensor sum_BC = at::zeros_like(z.mean_BC);
  for_each_piece(z, noise, [&](const Piece& piece) {
    sum_BC.narrow(0, piece.first_image, piece.images)
        .add_(probabilities(piece, temperature, link).sum(1));
  });
  return sum_BC.div_(noise.classes_SC.size(0));
}

at::Tensor logits_of(const at::Tensor& mean_BC, Link link) {
  at::Tensor log_BC = mean_BC.clamp_min(kLeastProbability).log();
  if (link == Link::kSoftmax) return log_BC;
  return log_BC - (1 - mean_BC.clamp(kLeastProbability, 1 - kLeastProbability)).log();
}

// Where the probability is at its bound the logit does not move.
at::Tensor mean_gradient(const at::Tensor& mean_BC, const at::Tensor& gradient_BC, Link link) {
  const at::Tensor is_above = mean_BC > kLeastProbability;
  at::Tensor slope = is_above / mean_BC.clamp_min(kLeastProbability);
  if (link == Link::kSigmoid) {
    const at::Tensor is_inside = is_above & (mean_BC < 1 - kLeastProbability);
    slope = slope + is_inside / (1 - mean_BC).clamp_min(kLeastProbability);
  }
  return gradient_BC * slope;
}

/// What noisy logits become.
struct Form {
  double temperature = 1;
  Link link = Link::kSoftmax;
};

/// Computes the samples again in the backward pass.
struct MeanLogits : torch::autograd::Function<MeanLogits> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& mean_BC,
                            const std::optional<at::Tensor>& factors_BCK,
                            const at::Tensor& scale_BC, const LogitNoise& noise, const Form& form) {
    const NoisyLogits z{mean_BC, factors_BCK.value_or(at::Tensor()), scale_BC};
    const at::Tensor mean = mean_probability(z, noise, form.temperature, form.link);
    context->save_for_backward(
        {z.mean_BC, z.factors_BCK, z.scale_BC, noise.factors_SK, noise.classes_SC, mean});
    context->saved_data["temperature"] = form.temperature;
    context->saved_data["is_sigmoid"] = form.link == Link::kSigmoid;
    return logits_of(mean, form.link);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const NoisyLogits z{saved[0], saved[1], saved[2]};
    const LogitNoise noise{saved[3], saved[4]};
    const double temperature = context->saved_data["temperature"].toDouble();
    const Link link = context->saved_data["is_sigmoid"].toBool() ? Link::kSigmoid : Link::kSoftmax;
    const auto samples = static_cast<double>(noise.classes_SC.size(0));
    const at::Tensor of_mean_BC =
        mean_gradient(saved[5], gradients[0], link).div_(temperature * samples);
    const auto zeros = [](const at::Tensor& t) { return t.defined() ? at::zeros_like(t) : t; };
    at::Tensor d_mean = zeros(z.mean_BC), d_factors = zeros(z.factors_BCK),
               d_scale = zeros(z.scale_BC);
    for_each_piece(z, noise, [&](const Piece& piece) {
      const auto own = [&](const at::Tensor& t) {
        return t.narrow(0, piece.first_image, piece.images);
      };
      const at::Tensor p = probabilities(piece, temperature, link);
      const at::Tensor h = own(of_mean_BC).unsqueeze(1);
      const at::Tensor of_latent =
          link == Link::kSoftmax ? p * (h - (p * h).sum(-1, true)) : p * (1 - p) * h;
      own(d_mean).add_(of_latent.sum(1));
      own(d_scale).add_((of_latent * piece.noise.classes_SC).sum(1));
      if (d_factors.defined())
        own(d_factors).add_(at::matmul(of_latent.transpose(1, 2), piece.noise.factors_SK));
    });
    return {d_mean, d_factors, d_scale, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor mean_logits(const NoisyLogits& logits, const LogitNoise& noise, double temperature,
                       Link link) {
  return MeanLogits::apply(
      logits.mean_BC,
      logits.factors_BCK.defined() ? std::optional(logits.factors_BCK) : std::nullopt,
      logits.scale_BC, noise, Form{temperature, link});
}

at::Tensor mean_over_members(const at::Tensor& logits_NC, int64_t members, Link link) {
  const at::Tensor z_EBC = logits_NC.to(at::kFloat).unflatten(0, {members, -1});
  const auto log_mean = [&](const at::Tensor& log_EBC) {
    return log_EBC.logsumexp({0}) - std::log(static_cast<double>(members));
  };
  if (link == Link::kSoftmax) return log_mean(at::log_softmax(z_EBC, -1));
  return log_mean(at::log_sigmoid(z_EBC)) - log_mean(at::log_sigmoid(-z_EBC));
}

}  // namespace vit22b
