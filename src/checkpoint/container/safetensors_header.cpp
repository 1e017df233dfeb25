#include "checkpoint/container/safetensors_header.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "core/checked.h"
#include "core/error.h"
#include "kernels/shape.h"

namespace vit22b {
namespace {

using Json = nlohmann::json;
constexpr size_t kHeaderLimit = 100'000'000;  // the reference implementation's limit
constexpr size_t kDataAlignment = 64;
constexpr size_t kMaxDims = 32;

struct DtypeName {
  const char* name;
  at::ScalarType dtype;
};
constexpr DtypeName kDtypes[] = {{"F64", at::kDouble},    {"F32", at::kFloat}, {"F16", at::kHalf},
                                 {"BF16", at::kBFloat16}, {"I64", at::kLong},  {"I32", at::kInt},
                                 {"I16", at::kShort},     {"I8", at::kChar},   {"U8", at::kByte},
                                 {"BOOL", at::kBool}};

/// Rejects a key that appears twice in one object, which a JSON tree would hide, and deep nesting.
Json parse_header(const std::string& text, const std::string& place) {
  std::vector<std::set<std::string>> keys;
  const Json::parser_callback_t check = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > 4) throw CheckpointError(place, ": the header is nested too deeply");
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second)
      throw CheckpointError(place, ": the header names '", parsed.get<std::string>(), "' twice");
    return true;
  };
  try {
    Json header = Json::parse(text, check);
    if (!header.is_object()) throw CheckpointError(place, ": the header is no JSON object");
    return header;
  } catch (const Json::exception& e) {
    throw CheckpointError(place, ": the header is no valid JSON (", e.what(), ")");
  }
}

class EntryReader {
 public:
  EntryReader(const std::string& place, size_t data_begin, size_t file_size)
      : place_(place), data_begin_(data_begin), data_size_(file_size - data_begin) {}

  StoredTensor read(const std::string& name, const Json& json) const {
    if (!json.is_object() || !json.contains("dtype") || !json.contains("shape") ||
        !json.contains("data_offsets"))
      fail(name, "lacks dtype, shape or data_offsets");
    StoredTensor entry;
    entry.dtype = dtype(name, json["dtype"]);
    if (!json["shape"].is_array() || json["shape"].size() > kMaxDims)
      fail(name, "has a shape that is no short list");
    for (const Json& side : json["shape"]) {
      if (!side.is_number_unsigned()) fail(name, "has a shape with something other than sizes");
      // A side above int64 is a negative one here, which has no size.
      entry.shape.push_back(static_cast<int64_t>(side.get<uint64_t>()));
    }
    const auto bytes =
        checked_size_bytes(entry.shape, static_cast<int64_t>(c10::elementSize(entry.dtype)));
    if (!bytes) fail(name, "has a shape whose size overflows");
    const Json& offsets = json["data_offsets"];
    if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
        !offsets[1].is_number_unsigned())
      fail(name, "has data_offsets that are no pair of sizes");
    const auto begin = offsets[0].get<size_t>(), end = offsets[1].get<size_t>();
    if (begin > end || end > data_size_)
      fail(name, concat("lies at bytes ", begin, " to ", end, " of ", data_size_,
                        "; the file is cut short"));
    if (end - begin != static_cast<size_t>(*bytes))
      fail(name, concat("has ", end - begin, " bytes, its shape ", shape_text(entry.shape),
                        " needs ", *bytes));
    entry.offset = data_begin_ + begin;
    return entry;
  }

 private:
  [[noreturn]] void fail(const std::string& name, const std::string& what) const {
    throw CheckpointError(place_, ": tensor '", name, "' ", what);
  }
  at::ScalarType dtype(const std::string& name, const Json& json) const {
    for (const DtypeName& known : kDtypes)
      if (json == known.name) return known.dtype;
    fail(name, "has the unknown dtype " + json.dump());
  }
  const std::string& place_;
  size_t data_begin_, data_size_;
};

void check_cover(const std::map<std::string, StoredTensor>& tensors, size_t data_begin,
                 size_t file_size, const std::string& place) {
  struct Piece {
    size_t begin, end;
    const std::string* name;
  };
  std::vector<Piece> order;
  order.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors)
    order.push_back({tensor.offset, tensor.offset + tensor.size_bytes(), &name});
  std::sort(order.begin(), order.end(), [](const Piece& a, const Piece& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  });
  size_t reached = data_begin;
  std::string previous;
  for (const auto& [begin, end, name] : order) {
    if (begin < reached)
      throw CheckpointError(place, ": tensors '", previous, "' and '", *name, "' overlap");
    if (begin > reached)
      throw CheckpointError(place, ": ", begin - reached, " bytes before tensor '", *name,
                            "' belong to none");
    reached = end;
    previous = *name;
  }
  if (reached != file_size)
    throw CheckpointError(place, ": ", file_size - reached,
                          " bytes after the last tensor belong to none");
}

}  // namespace

size_t safetensors_data_begin(std::span<const std::byte> first, size_t file_size,
                              const std::string& place) {
  if (first.size() < kSafetensorsLengthBytes)
    throw CheckpointError(place, " has ", file_size, " bytes, too short for a safetensors file");
  uint64_t length = 0;
  std::memcpy(&length, first.data(), kSafetensorsLengthBytes);
  if (length > kHeaderLimit || length > file_size - kSafetensorsLengthBytes)
    throw CheckpointError(place, ": the header claims ", length, " bytes but the file has ",
                          file_size, "; it is cut short or no safetensors file");
  return kSafetensorsLengthBytes + static_cast<size_t>(length);
}

SafetensorsHeader read_safetensors_header(const std::string& json, size_t data_begin,
                                          size_t file_size, const std::string& place) {
  const Json parsed = parse_header(json, place);
  const EntryReader reader(place, data_begin, file_size);
  SafetensorsHeader header;
  for (const auto& [name, entry] : parsed.items()) {
    if (name != "__metadata__") {
      header.tensors.emplace(name, reader.read(name, entry));
      continue;
    }
    if (!entry.is_object()) throw CheckpointError(place, ": __metadata__ is no object");
    for (const auto& [key, value] : entry.items())
      if (value.is_string()) header.metadata[key] = value.get<std::string>();
  }
  check_cover(header.tensors, data_begin, file_size, place);
  return header;
}

std::string safetensors_header(const std::vector<TensorEntry>& entries,
                               const std::map<std::string, std::string>& metadata,
                               std::vector<size_t>& begins) {
  nlohmann::ordered_json header;
  if (!metadata.empty()) header["__metadata__"] = metadata;
  size_t offset = 0;
  for (const TensorEntry& entry : entries) {
    const char* dtype = nullptr;
    for (const DtypeName& known : kDtypes)
      if (known.dtype == entry.dtype) dtype = known.name;
    VIT22B_CHECK(dtype != nullptr, "safetensors: tensor '", entry.name,
                 "' has a dtype that the format lacks");
    const size_t size =
        static_cast<size_t>(c10::multiply_integers(entry.shape)) * c10::elementSize(entry.dtype);
    header[entry.name] = {
        {"dtype", dtype}, {"shape", entry.shape}, {"data_offsets", {offset, offset + size}}};
    begins.push_back(offset);
    offset += size;
  }
  begins.push_back(offset);
  std::string text = header.is_null() ? "{}" : header.dump();
  text.append(
      (kDataAlignment - (kSafetensorsLengthBytes + text.size()) % kDataAlignment) % kDataAlignment,
      ' ');
  const uint64_t length = text.size();
  std::string prefix(kSafetensorsLengthBytes, '\0');
  std::memcpy(prefix.data(), &length, kSafetensorsLengthBytes);
  return prefix + text;
}

}  // namespace vit22b
