#include "checkpoint/container/state_dict.h"

#include <gtest/gtest.h>

#include "support/files.h"
#include "support/pickles.h"

namespace vit22b {
namespace {

using namespace test::pickles;

using Names = std::vector<std::string>;

Pickle pickle_of(const std::string& root) {
  const test::TempFolder folder;
  test::write_file(folder / "p", whole(root));
  const auto file = open_file_bytes(folder / "p", ExitCode::kCheckpoint);
  PickleBytes bytes(*file, 0, file->size());
  return Pickle(bytes);
}

/// The names and the part that are chosen.
std::pair<Names, std::string> chosen(const std::string& root) {
  const Pickle pickle = pickle_of(root);
  const StateDict dict = find_state_dict(pickle.root(), "F");
  Names names;
  for (const auto& [name, tensor] : dict.tensors) names.push_back(name);
  return {names, dict.part};
}
std::string refused_dict(const std::string& root) {
  return test::error_of<CheckpointError>([&] { chosen(root); });
}

std::string one() {
  return floats("0", 1);
}

TEST(StateDict, IsTheRootWhereMostOfItAreTensors) {
  EXPECT_EQ(chosen(dict({{"a", one()}, {"step", number(3)}, {"b", one()}})),
            std::make_pair(Names({"a", "b"}), std::string()));
}

TEST(StateDict, IsTheFirstOfTheWrappersInTheirOrder) {
  const std::string root = dict({{"weights", ordered_dict({{"w", one()}})},
                                 {"model", ordered_dict({{"m", one()}})},
                                 {"model_ema", ordered_dict({{"e", one()}})},
                                 {"epoch", number(1)}});
  EXPECT_EQ(
      chosen(root),
      std::make_pair(Names({"e"}), std::string("its 'model_ema' (not its 'model', 'weights')")));
}

TEST(StateDict, IsNotWhatHasOtherThingsThanTensors) {
  const std::string root = dict(
      {{"model", dict({{"name", text("vit")}, {"a", one()}})}, {"encoder", dict({{"b", one()}})}});
  EXPECT_EQ(chosen(root), std::make_pair(Names({"b"}), std::string("its 'encoder'")));
}

TEST(StateDict, IsTheTeacherAndNeverTheStudent) {
  const std::string both =
      dict({{"student", dict({{"s", one()}})}, {"teacher", dict({{"t", one()}})}});
  EXPECT_EQ(chosen(both), std::make_pair(Names({"t"}), std::string("its 'teacher'")));
  EXPECT_EQ(refused_dict(dict({{"student", dict({{"s", one()}})}})),
            "F is no state dict: holds 'student', none of them a dict of tensors named model_ema, "
            "state_dict, model, module, target_encoder, encoder, teacher, weights");
}

TEST(StateDict, DeeperTensorsAreNamedByTheirPaths) {
  const std::string root =
      dict({{"a", one()}, {"b", one()}, {"c", one()}, {"d", dict({{"e", list({one(), one()})}})}});
  EXPECT_EQ(chosen(root).first, Names({"a", "b", "c", "d.e.0", "d.e.1"}));
}

TEST(StateDict, PrefixesAreTakenOffWhereAllNamesHaveThem) {
  EXPECT_EQ(
      chosen(dict({{"module._orig_mod.a", one()}, {"module._orig_mod.b", one()}})),
      std::make_pair(Names({"a", "b"}), std::string("names without 'module.' and '_orig_mod.'")));
  EXPECT_EQ(chosen(dict({{"module.a", one()}, {"b", one()}})).first, Names({"module.a", "b"}));
  EXPECT_EQ(chosen(dict({{"backbone.a", one()}})).first, Names({"backbone.a"}));
}

TEST(StateDict, OfPython2sOrderedDictIsItsListOfPairs) {
  const std::string pairs = list({list({text("a"), one()}), list({text("b"), one()})});
  EXPECT_EQ(chosen(call(global("collections", "OrderedDict"), tuple({pairs}))).first,
            Names({"a", "b"}));
}

TEST(StateDict, ThatIsNoneIsDescribed) {
  EXPECT_EQ(refused_dict("}"), "F is no state dict: holds no tensors");
  EXPECT_EQ(refused_dict(number(3)), "F is no state dict: holds no tensors");
  EXPECT_EQ(refused_dict(one()), "F is no state dict: holds a single tensor");
  EXPECT_EQ(refused_dict(list({one()})), "F is no state dict: holds a list");
  EXPECT_EQ(refused_dict(object(global("models", "ViT"), "}")),
            "F is no state dict: holds an object of the class models.ViT; save its state_dict()");
}

TEST(StateDict, OfThingsWithinThemselvesIsRefused) {
  EXPECT_EQ(refused_dict("}q\1(" + text("a") + one() + text("b") + one() + text("c") + "h\1u"),
            "F: the state dict is nested more than 64 deep");
}

TEST(StateDict, OfThingsRepeatedWithoutEndIsRefused) {
  std::string lists = "]q\1";  // each holds the one before twice
  for (char i = 1; i < 60; ++i) lists += concat("0](h", i, "h", i, "eq", static_cast<char>(i + 1));
  EXPECT_EQ(refused_dict(dict({{"a", one()}, {"b", one()}, {"c", lists}})),
            "F: the state dict has more than 2^20 parts");
}

}  // namespace
}  // namespace vit22b
