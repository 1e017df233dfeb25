#include "store/sharded.h"

#include <gtest/gtest.h>

#include "dist/threads.h"
#include "model/initialise.h"

namespace vit22b {
namespace {

/// A classifier wide enough to be shared out, and little else.
std::vector<ParameterRow> wide_head(int64_t classes, int64_t width) {
  ViTConfig config = preset("test8");
  config.embed_dim = width;
  config.num_heads = 4;
  config.depth = 1;
  config.mlp.mlp_ratio = 8 / static_cast<double>(width);
  config.pool.global_pool = "avg";
  config.num_classes = classes;
  return parameter_table(config);
}

// A rank of the model axis that has one row of three and one that has two cut them alike.
TEST(ShardedStore, ATensorIsCutAlikeOnEveryRankWhateverItsPartIs) {
  for (const int64_t classes : {1, 3, 7, 10})
    for (const MeshShape shape : {MeshShape{2, 1}, {2, 2}, {4, 2}, {3, 2}, {3, 4}}) {
      if (classes < shape.model) continue;
      const std::vector<ParameterRow> table = wide_head(classes, classes == 1 ? 4200 : 1400);
      run_as_threads(shape.data * shape.model, [&](const std::shared_ptr<Transport>& transport) {
        const Mesh mesh = make_mesh(transport, shape, /*deadline_s=*/30);
        FunctionSource source([](const ParameterRow& row) {
          return at::empty(row.shape, at::TensorOptions(at::kMeta));
        });
        ShardedStore store(table, source, c10::kMeta, mesh);
        const NamedParts parts = owned_parts(store, table);
        EXPECT_NO_THROW(agree_on_cuts(PartList(parts.begin(), parts.end()), mesh)) << classes;
        for (const auto& [name, tensor] : parts)
          EXPECT_NO_THROW(part_layout(tensor.cut, place_of(mesh))) << name << " " << classes;
      });
    }
}

// Ten rows on two model ranks are five each: two data ranks share them, eight would not.
TEST(ShardedStore, RowsAreSharedOutWhereEveryRankHasSome) {
  const auto cut_on = [](MeshShape shape) {
    int64_t data_dim = -2;
    run_as_threads(shape.data * shape.model, [&](const std::shared_ptr<Transport>& transport) {
      const Mesh mesh = make_mesh(transport, shape, 30);
      const std::vector<ParameterRow> table = wide_head(10, 1400);
      FunctionSource source([](const ParameterRow& row) { return at::zeros(row.shape); });
      const ShardedStore store(table, source, c10::kCPU, mesh);
      if (transport->rank() == 0)
        for (const ParameterRow& row : table)
          if (row.name == "head.weight") data_dim = store.cut(row).data_dim;
    });
    return data_dim;
  };
  EXPECT_EQ(cut_on({2, 2}), 0);
  EXPECT_EQ(cut_on({8, 1}), 0);
  EXPECT_EQ(cut_on({8, 2}), -1);
}

}  // namespace
}  // namespace vit22b
