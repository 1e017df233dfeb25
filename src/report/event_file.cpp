#include "report/event_file.h"

#include <bit>
#include <nlohmann/json.hpp>

#include "core/checksum.h"
#include "core/json.h"

namespace vit22b {
namespace {

using Json = nlohmann::json;

// Field numbers and wire types of the messages.
enum class Wire : unsigned { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
constexpr unsigned kEventWallTime = 1, kEventStep = 2, kEventFileVersion = 3, kEventSummary = 5;
constexpr unsigned kSummaryValue = 1, kValueTag = 1, kValueSimple = 2;

template <class T>
std::string little_endian(T value) {
  std::string bytes;
  for (size_t i = 0; i < sizeof value; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 128; value >>= 7) bytes += static_cast<char>(value | 128);
  return bytes + static_cast<char>(value);
}

std::string key(unsigned field, Wire wire) {
  return varint(field << 3 | static_cast<unsigned>(wire));
}

std::string bytes_field(unsigned field, std::string_view bytes) {
  return key(field, Wire::kBytes) + varint(bytes.size()) + std::string(bytes);
}

std::string scalar(const std::string& tag, double value) {
  return bytes_field(kSummaryValue,
                     bytes_field(kValueTag, tag) + key(kValueSimple, Wire::kFixed32) +
                         little_endian(std::bit_cast<uint32_t>(static_cast<float>(value))));
}

std::string masked_crc(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return little_endian(((crc >> 15) | (crc << 17)) + 0xA282EAD8U);
}

std::string record(double wall_time_s, const std::string& rest) {
  const std::string payload = key(kEventWallTime, Wire::kFixed64) +
                              little_endian(std::bit_cast<uint64_t>(wall_time_s)) + rest;
  const std::string length = little_endian(static_cast<uint64_t>(payload.size()));
  return length + masked_crc(length) + payload + masked_crc(payload);
}

}  // namespace

std::string first_event(double wall_time_s) {
  return record(wall_time_s, bytes_field(kEventFileVersion, "brain.Event:2"));
}

std::string scalar_event(std::string_view json_line, double wall_time_s) {
  const auto row = parse_json_line<Json>(json_line);
  if (!row.is_object() || !row.contains("step") || !row["step"].is_number_integer()) return "";
  std::string values;
  for (const auto& [name, value] : row.items()) {
    if (name != "step" && value.is_number()) values += scalar(name, value.get<double>());
    if (!value.is_array()) continue;
    for (size_t i = 0; i < value.size(); ++i)
      if (value[i].is_number())
        values += scalar(name + "/" + std::to_string(i), value[i].get<double>());
  }
  if (values.empty()) return "";
  return record(wall_time_s, key(kEventStep, Wire::kVarint) +
                                 varint(static_cast<uint64_t>(row["step"].get<int64_t>())) +
                                 bytes_field(kEventSummary, values));
}

}  // namespace vit22b
