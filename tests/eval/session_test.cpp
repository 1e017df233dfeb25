#include "eval/session.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <atomic>
#include <set>

#include "core/error.h"
#include "support/files.h"
#include "support/tiny_model.h"

namespace vit22b {
namespace {

LoadedModel tiny_model() {
  return fresh_predictor(test::tiny_config(), 0, {}, "resident");
}

TEST(Session, ManyAskersAreAnsweredByOneThread) {
  Session session(tiny_model(), 0);
  const at::Tensor images_BCHW = at::randn({2, 3, 8, 16});
  const at::Tensor want = tiny_model().predictor->logits(images_BCHW);
  std::set<std::thread::id> owners;
  std::vector<std::jthread> askers;
  std::atomic<int> right = 0;
  for (int i = 0; i < 4; ++i)
    askers.emplace_back([&] {
      for (int k = 0; k < 5; ++k) {
        auto answer = session.ask([&](LoadedModel& model) {
          owners.insert(std::this_thread::get_id());
          return model.predictor->logits(images_BCHW);
        });
        right += answer.get().equal(want) ? 1 : 0;
      }
    });
  askers.clear();
  EXPECT_EQ(right, 20);
  EXPECT_EQ(owners.size(), 1U);
  EXPECT_EQ(owners.count(std::this_thread::get_id()), 0U);
}

TEST(Session, KeepsAnswersThatHaveAKeyWhileThereIsRoom) {
  Session session(tiny_model(), 100);  // bytes: three of 32, no more
  int asked = 0;
  const auto ask = [&](const std::string& key) {
    return session.ask([&](LoadedModel&) { return at::full({8}, ++asked, at::kFloat); }, key)
        .get()[0]
        .item<int>();
  };
  EXPECT_EQ(ask("a"), 1);
  EXPECT_EQ(ask("b"), 2);
  EXPECT_EQ(ask("a"), 1);
  EXPECT_EQ(ask(""), 3);
  EXPECT_EQ(ask(""), 4);
  EXPECT_EQ(ask("c"), 5);
  EXPECT_EQ(session.kept_bytes(), 96);
  EXPECT_EQ(ask("d"), 6);  // "b" goes: it is the longest unasked
  EXPECT_EQ(ask("a"), 1);
  EXPECT_EQ(ask("b"), 7);
  EXPECT_EQ(session.kept_bytes(), 96);
}

TEST(Session, AFailureIsTheAskersAndWhatIsTakenBackIsNotAsked) {
  Session session(tiny_model(), 0);
  auto failing =
      session.ask([](LoadedModel&) -> at::Tensor { throw DataError("no such picture"); });
  EXPECT_EQ(test::error_of<DataError>([&] { failing.get(); }), "no such picture");
  bool was_asked = false;
  auto stopped = session.ask(
      [&](LoadedModel&) {
        was_asked = true;
        return at::Tensor();
      },
      "", {.should_stop = [] { return true; }});
  EXPECT_THROW(stopped.get(), Stopped);
  EXPECT_FALSE(was_asked);
  EXPECT_EQ(session.ask([](LoadedModel&) { return at::ones({1}); }).get().item<int>(), 1);
}

TEST(Session, AnswersWhatHasBeenAskedBeforeItEnds) {
  std::vector<std::future<at::Tensor>> answers;
  {
    Session session(tiny_model(), 0);
    for (int i = 0; i < 5; ++i)
      answers.push_back(session.ask([i](LoadedModel&) { return at::full({1}, i); }));
  }
  for (int i = 0; i < 5; ++i) EXPECT_EQ(answers[static_cast<size_t>(i)].get().item<int>(), i);
}

}  // namespace
}  // namespace vit22b
