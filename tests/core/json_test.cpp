#include "core/json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/files.h"

namespace vit22b {
namespace {

using nlohmann::json;
using test::error_of;

std::string nested(size_t depth) {
  return std::string(depth, '[') + std::string(depth, ']');
}

TEST(Json, IsReadToADepthOf64) {
  EXPECT_EQ(parse_json<json>(nested(64), "a.json", ExitCode::kData).dump(), nested(64));
  EXPECT_EQ(error_of<UserError>([&] { parse_json<json>(nested(65), "a.json", ExitCode::kData); }),
            "a.json: its brackets are nested more than 64 deep");
}

TEST(Json, WholeNumbersAreThoseThatFit) {
  const auto number = [](const char* text) { return whole_number(json::parse(text)); };
  EXPECT_EQ(number("-3"), -3);
  EXPECT_EQ(number("3.0"), 3);
  for (const char* text : {"1e300", "-1e300", "1.5", "\"3\""})
    EXPECT_THROW(number(text), json::type_error) << text;
}

TEST(Json, BracketsInTextsAreNone) {
  const std::string text = json(nested(100) + "\"" + nested(100)).dump();
  EXPECT_EQ(parse_json<json>(text, "a.json", ExitCode::kData).dump(), text);
}

// Copying or printing such a tree would end the process.
TEST(Json, ALineThatIsNestedTooDeepIsNone) {
  EXPECT_TRUE(parse_json_line<json>(nested(300'000)).is_discarded());
  EXPECT_TRUE(parse_json_line<json>("{\"step\": 3, \"lo").is_discarded());
  EXPECT_EQ(parse_json_line<json>("{\"step\": 3}")["step"], 3);
}

}  // namespace
}  // namespace vit22b
