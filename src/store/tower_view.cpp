#include "store/tower_view.h"

#include "core/error.h"

namespace vit22b {
namespace {

Unit of_tower(Unit unit, Tower tower) {
  unit.tower = tower;
  return unit;
}

}  // namespace

UnitLease TowerStore::acquire(const Unit& unit, Pass pass) {
  return store_.acquire(of_tower(unit, tower_), pass);
}

void TowerStore::prefetch(const Unit& unit, Pass pass) {
  store_.prefetch(of_tower(unit, tower_), pass);
}

const std::set<std::string>& TowerSink::trained(const Unit& unit) const {
  return sink_.trained(of_tower(unit, tower_));
}

UnitGrads& TowerSink::begin(const Unit& unit) {
  return sink_.begin(of_tower(unit, tower_));
}

void TowerSink::commit(const Unit& unit) {
  sink_.commit(of_tower(unit, tower_));
}

StepReport TowerSink::finish(const StepContext&) {
  throw InternalError("a step is finished by the sink of all its towers");
}

}  // namespace vit22b
