#include "explain/pca.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "support/files.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

using test::relative_difference;

/// Tokens that differ by 9, 4 and 1 along three directions of a turned space of width 8, in two
/// parts.
struct Cloud {
  at::Tensor directions_DD, tokens_ND;

  Cloud() {
    at::manual_seed(0);
    directions_DD = std::get<0>(at::linalg_qr(at::randn({8, 8})));
    const at::Tensor spread = at::tensor({9.0F, 4.0F, 1.0F, 0.1F, 0.1F, 0.1F, 0.1F, 0.1F});
    tokens_ND = at::mm(at::randn({5000, 8}) * spread, directions_DD.t()) + 100;
  }
  PcaBasis fitted() const {
    PcaFit fit;
    fit.add(tokens_ND.slice(0, 0, 1234));
    fit.add(tokens_ND.slice(0, 1234));
    return fit.basis();
  }
};

TEST(Pca, FindsTheDirectionsThatTokensWereSpreadAlong) {
  const Cloud cloud;
  const PcaBasis basis = cloud.fitted();
  const at::Tensor cosines =
      (basis.directions_3D * cloud.directions_DD.t().slice(0, 0, 3)).sum(1).abs();
  EXPECT_GT(cosines.min().item<double>(), 0.995);  // 5,000 samples
  EXPECT_LT(relative_difference(basis.mean_D, cloud.tokens_ND.mean(0)), 1e-5);
}

// ATen's singular value decomposition of the centred tokens.
TEST(Pca, EqualsTheSingularVectorsUpToTheirSign) {
  const Cloud cloud;
  const PcaBasis basis = cloud.fitted();
  const at::Tensor centred = (cloud.tokens_ND - cloud.tokens_ND.mean(0)).to(at::kDouble);
  const at::Tensor vectors = std::get<2>(at::linalg_svd(centred, /*full_matrices=*/false));
  EXPECT_LT(relative_difference(basis.directions_3D.abs(), vectors.slice(0, 0, 3).abs()), 1e-4);
  for (const at::Tensor& direction : basis.directions_3D.unbind(0))
    EXPECT_GT(direction[direction.abs().argmax()].item<double>(), 0);
}

TEST(Pca, ColoursSpanTheTokensAndASavedBasisGivesTheSame) {
  const Cloud cloud;
  PcaBasis basis = cloud.fitted();
  const at::Tensor projected = project(basis, cloud.tokens_ND);
  set_range(basis, projected);
  const at::Tensor drawn = colours(basis, projected);
  EXPECT_EQ(drawn.min().item<double>(), 0);
  EXPECT_EQ(drawn.max().item<double>(), 1);
  EXPECT_NEAR(drawn.eq(1).to(at::kDouble).mean().item<double>(), 0.01, 0.003);
  const test::TempFolder folder;
  FileOps ops;
  save_basis(ops, folder / "b", basis);
  const PcaBasis again = load_basis(folder / "b", 8);
  EXPECT_TRUE(colours(again, project(again, cloud.tokens_ND)).equal(drawn));
  EXPECT_NE(test::error_of<DataError>([&] {
              load_basis(folder / "b", 16);
            }).find("is a basis of width [8], the model's is 16"),
            std::string::npos);
  EXPECT_NE(test::error_of<DataError>([] { PcaFit().basis(); }).find("PCA of 0 patches"),
            std::string::npos);
}

}  // namespace
}  // namespace vit22b
