#include <gtest/gtest.h>

#include "checkpoint/container/safetensors_file.h"
#include "checkpoint/model_info.h"
#include "checkpoint/weights.h"
#include "model/vit.h"
#include "store/resident.h"
#include "support/files.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

class TimmParity : public testing::TestWithParam<const char*> {};

// Every parameter is randomised in these folders (tests/oracle/make_timm.py), so a swapped tensor
// shows.
TEST_P(TimmParity, LogitsTokensAndPooledMatchTimm) {
  const at::NoGradGuard no_grad;
  const auto folder = test::source_path(std::string("tests/oracle/") + GetParam());
  const ViTConfig config = read_model_info(folder).config;
  const auto table = parameter_table(config);
  ResidentStore store(table, load_weights(folder, table), c10::kCPU);
  const Mesh mesh;
  const auto engine = make_engine("reference");
  const SafetensorsFile expected(folder / "expected.safetensors");
  const VitOutputs out = vit_forward({config, *engine, mesh}, store, expected.load("images"), {});
  EXPECT_LT(test::relative_difference(out.tokens_BTD, expected.load("tokens")), 1e-5);
  EXPECT_LT(test::relative_difference(out.pooled_BD, expected.load("pooled")), 1e-5);
  EXPECT_LT(test::relative_difference(out.logits_BC, expected.load("logits")), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Oracles, TimmParity,
                         testing::Values("timm_parallel", "timm_parallel_bias", "timm_serial",
                                         "timm_serial_map"));

}  // namespace
}  // namespace vit22b
