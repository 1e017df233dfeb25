#include "store/tuned.h"

namespace vit22b {
namespace {

std::vector<ParameterRow> rows_where(const std::vector<ParameterRow>& table,
                                     const std::set<std::string>& own, bool is_own) {
  std::vector<ParameterRow> rows;
  for (const ParameterRow& row : table)
    if ((own.count(row.name) != 0) == is_own) rows.push_back(row);
  return rows;
}

/// A unit's weights of both stores, and what keeps them there.
struct Both {
  UnitLease own, frozen;
  NamedTensors all;
};

}  // namespace

TunedStore::TunedStore(const std::vector<ParameterRow>& table, const std::set<std::string>& own,
                       std::unique_ptr<WeightSource> source, at::ScalarType matrix_type,
                       StateMemory& memory, c10::Device device, const Mesh& mesh)
    : own_(rows_where(table, own, true), *source, at::kFloat, memory, mesh),
      frozen_(rows_where(table, own, false), std::move(source), matrix_type, device) {}

UnitLease TunedStore::acquire(const Unit& unit, Pass pass) {
  const auto both =
      std::make_shared<Both>(Both{own_.acquire(unit, pass), frozen_.acquire(unit, pass), {}});
  both->all = both->own.weights();
  both->all.insert(both->frozen.weights().begin(), both->frozen.weights().end());
  return UnitLease(std::shared_ptr<const NamedTensors>(both, &both->all));
}

}  // namespace vit22b
