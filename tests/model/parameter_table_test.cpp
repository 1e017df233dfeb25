#include "model/parameter_table.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "model/initialise.h"
#include "model/vit.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

ParameterCounts counts(const std::string& name, int64_t classes) {
  ViTConfig config = preset(name);
  config.num_classes = classes;
  return count_parameters(parameter_table(config));
}

const ParameterRow& row_named(const std::vector<ParameterRow>& table, const std::string& name) {
  for (const ParameterRow& row : table)
    if (row.name == name) return row;
  throw std::runtime_error(name);
}

TEST(ParameterTable, Counts22bAreThePublishedOnes) {
  const ParameterCounts c = counts("22b14", 29'593);
  EXPECT_EQ(c.block_matmul, 21'743'271'936);
  EXPECT_EQ(c.body, 21'750'251'520);
  EXPECT_EQ(c.body_and_pool, 22'203'303'936);
  EXPECT_EQ(c.total, 22'385'152'921);
}

TEST(ParameterTable, SerialBodiesHaveThePublishedCounts) {
  // Zhai et al. 2022 table 2, bodies without pooling: 1,011 M and 1,843 M (paper.md 1.7 has the
  // exact ones).
  for (const auto& [name, want] :
       {std::pair<const char*, int64_t>{"g14", 1'011'199'616}, {"G14", 1'842'772'352}}) {
    ViTConfig config = preset(name, "serial");
    config.tokens.class_token = false;
    config.pool.global_pool = "map";
    EXPECT_EQ(count_parameters(parameter_table(config)).body, want) << name;
  }
}

TEST(ParameterTable, NamesAreUniqueAndUnitsComeInOrder) {
  for (const char* block : {"parallel", "serial"}) {
    const auto table = parameter_table(preset("ti16", block));
    std::set<std::string> names;
    for (size_t i = 0; i < table.size(); ++i) {
      EXPECT_TRUE(names.insert(table[i].name).second) << table[i].name;
      EXPECT_TRUE(i == 0 || table[i - 1].unit <= table[i].unit) << table[i].name;
    }
  }
}

TEST(ParameterTable, SectionsCoverTheRows) {
  for (const ParameterRow& row : parameter_table(preset("s16"))) {
    if (row.sections.empty() || row.shape.size() > 2) continue;
    EXPECT_EQ(std::accumulate(row.sections.begin(), row.sections.end(), int64_t{0}), row.shape[0])
        << row.name;
  }
}

TEST(ParameterTable, InProjectionIsMlpThenQkv) {
  const auto table = parameter_table(preset("b16"));
  EXPECT_EQ(row_named(table, "blocks.3.in_proj.weight").sections,
            (std::vector<int64_t>{3072, 768, 768, 768}));
  EXPECT_TRUE(row_named(table, "blocks.3.q_norm.weight").gradient_sum_over_model);
  EXPECT_EQ(row_named(table, "blocks.3.mlp_out_proj.weight").model_cut, ModelCut::kColumns);
}

TEST(Initialise, XavierFansGoBySection) {
  const auto table = parameter_table(preset("ti16"));
  const ParameterRow& row = row_named(table, "blocks.0.in_proj.weight");
  const at::Tensor w = initial_tensor(row, 0);
  const double mlp_bound = std::sqrt(6.0 / (192 + 768)), q_bound = std::sqrt(6.0 / (192 + 192));
  EXPECT_LE(w.slice(0, 0, 768).abs().max().item<double>(), mlp_bound);
  EXPECT_GT(w.slice(0, 0, 768).abs().max().item<double>(), 0.999 * mlp_bound);
  EXPECT_GT(w.slice(0, 768, 960).abs().max().item<double>(), 0.999 * q_bound);
}

TEST(Initialise, AnyPartAloneEqualsTheWhole) {
  const auto table = parameter_table(preset("test8"));
  for (const ParameterRow& row : table) {
    const at::Tensor whole = initial_tensor(row, 3).flatten();
    const int64_t first = row.count() / 3, count = row.count() - first - row.count() / 5;
    EXPECT_TRUE(
        test::is_same(initial_values(row, 3, first, count), whole.slice(0, first, first + count)))
        << row.name;
  }
}

TEST(Initialise, HeadStartsAtZeroWithBiasMinusTen) {
  const auto table = parameter_table(preset("test8"));
  EXPECT_EQ(initial_tensor(row_named(table, "head.weight"), 0).abs().max().item<float>(), 0);
  EXPECT_EQ(initial_tensor(row_named(table, "head.bias"), 0).max().item<float>(), -10);
}

}  // namespace
}  // namespace vit22b
