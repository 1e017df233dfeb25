#include "checkpoint/safetensors.h"

#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "core/checked.h"
#include "core/checksum.h"
#include "core/error.h"
#include "core/signals.h"
#include "kernels/shape.h"

namespace vit22b {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

constexpr size_t kHeaderLimit = 100'000'000;  // the reference implementation's limit
constexpr size_t kLengthBytes = 8;
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

size_t read_length(std::span<const std::byte> bytes, const fs::path& path) {
  if (bytes.size() < kLengthBytes)
    throw CheckpointError(path.string(), " has ", bytes.size(),
                          " bytes, too short for a safetensors file");
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  if (length > kHeaderLimit || length > bytes.size() - kLengthBytes)
    throw CheckpointError(path.string(), ": the header claims ", length, " bytes but the file has ",
                          bytes.size(), "; it is cut short or no safetensors file");
  return static_cast<size_t>(length);
}

/// Rejects a key that appears twice in one object, which a JSON tree would hide, and deep nesting.
Json parse_header(const std::string& text, const fs::path& path) {
  std::vector<std::set<std::string>> keys;
  const Json::parser_callback_t check = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > 4) throw CheckpointError(path.string(), ": the header is nested too deeply");
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second)
      throw CheckpointError(path.string(), ": the header names '", parsed.get<std::string>(),
                            "' twice");
    return true;
  };
  try {
    Json header = Json::parse(text, check);
    if (!header.is_object()) throw CheckpointError(path.string(), ": the header is no JSON object");
    return header;
  } catch (const Json::exception& e) {
    throw CheckpointError(path.string(), ": the header is no valid JSON (", e.what(), ")");
  }
}

class EntryReader {
 public:
  EntryReader(const fs::path& path, size_t data_size) : path_(path), data_size_(data_size) {}

  SafetensorsFile::Entry read(const std::string& name, const Json& json) const {
    if (!json.is_object() || !json.contains("dtype") || !json.contains("shape") ||
        !json.contains("data_offsets"))
      fail(name, "lacks dtype, shape or data_offsets");
    SafetensorsFile::Entry entry;
    entry.name = name;
    entry.dtype = dtype(name, json["dtype"]);
    int64_t bytes = static_cast<int64_t>(c10::elementSize(entry.dtype));
    bool is_empty = false;
    if (!json["shape"].is_array() || json["shape"].size() > kMaxDims)
      fail(name, "has a shape that is no short list");
    for (const Json& side : json["shape"]) {
      if (!side.is_number_unsigned()) fail(name, "has a shape with something other than sizes");
      const auto value = side.get<uint64_t>();
      // Sides beside one of 0 have strides too, which have to fit.
      is_empty = is_empty || value == 0;
      const auto side_or_one = static_cast<int64_t>(std::max<uint64_t>(value, 1));
      const auto product = value > INT64_MAX ? std::nullopt : checked_mul(bytes, side_or_one);
      if (!product) fail(name, "has a shape whose size overflows");
      entry.shape.push_back(static_cast<int64_t>(value));
      bytes = *product;
    }
    if (is_empty) bytes = 0;
    const Json& offsets = json["data_offsets"];
    if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
        !offsets[1].is_number_unsigned())
      fail(name, "has data_offsets that are no pair of sizes");
    entry.begin = offsets[0].get<size_t>();
    entry.end = offsets[1].get<size_t>();
    if (entry.begin > entry.end || entry.end > data_size_)
      fail(name, concat("lies at bytes ", entry.begin, " to ", entry.end, " of ", data_size_,
                        "; the file is cut short"));
    if (entry.end - entry.begin != static_cast<size_t>(bytes))
      fail(name, concat("has ", entry.end - entry.begin, " bytes, its shape ",
                        shape_text(entry.shape), " needs ", bytes));
    return entry;
  }

 private:
  [[noreturn]] void fail(const std::string& name, const std::string& what) const {
    throw CheckpointError(path_.string(), ": tensor '", name, "' ", what);
  }
  at::ScalarType dtype(const std::string& name, const Json& json) const {
    for (const DtypeName& known : kDtypes)
      if (json == known.name) return known.dtype;
    fail(name, "has the unknown dtype " + json.dump());
  }
  const fs::path& path_;
  size_t data_size_;
};

void check_cover(const std::map<std::string, SafetensorsFile::Entry>& entries, size_t data_size,
                 const fs::path& path) {
  std::vector<const SafetensorsFile::Entry*> order;
  order.reserve(entries.size());
  for (const auto& [name, entry] : entries) order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  size_t reached = 0;
  std::string previous;
  for (const auto* entry : order) {
    if (entry->begin < reached)
      throw CheckpointError(path.string(), ": tensors '", previous, "' and '", entry->name,
                            "' overlap");
    if (entry->begin > reached)
      throw CheckpointError(path.string(), ": ", entry->begin - reached, " bytes before tensor '",
                            entry->name, "' belong to none");
    reached = entry->end;
    previous = entry->name;
  }
  if (reached != data_size)
    throw CheckpointError(path.string(), ": ", data_size - reached,
                          " bytes after the last tensor belong to none");
}

}  // namespace

SafetensorsFile::SafetensorsFile(const fs::path& path)
    : path_(path), file_(path, ExitCode::kCheckpoint) {
  const auto bytes = file_.bytes();
  const size_t length = read_length(bytes, path);
  data_begin_ = kLengthBytes + length;
  const Json header =
      parse_header({reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, length}, path);
  const EntryReader reader(path_, bytes.size() - data_begin_);
  for (const auto& [name, json] : header.items()) {
    if (name != "__metadata__") {
      entries_.emplace(name, reader.read(name, json));
      continue;
    }
    if (!json.is_object()) throw CheckpointError(path.string(), ": __metadata__ is no object");
    for (const auto& [key, value] : json.items())
      if (value.is_string()) metadata_[key] = value.get<std::string>();
  }
  check_cover(entries_, bytes.size() - data_begin_, path);
}

const SafetensorsFile::Entry& SafetensorsFile::entry(const std::string& name) const {
  const auto it = entries_.find(name);
  if (it != entries_.end()) return it->second;
  std::vector<std::string> names;
  names.reserve(entries_.size());
  for (const auto& [known, unused] : entries_) names.push_back(known);
  throw CheckpointError(path_.string(), ": there is no tensor '", name, "'",
                        did_you_mean(name, names));
}

at::Tensor SafetensorsFile::load(const std::string& name) const {
  const Entry& found = entry(name);
  at::Tensor tensor = at::empty(found.shape, found.dtype);
  const auto source = bytes(found);
  if (!source.empty()) std::memcpy(tensor.data_ptr(), source.data(), source.size());
  return tensor;
}

std::span<const std::byte> SafetensorsFile::bytes(const Entry& entry) const {
  file_.check_size();
  return file_.bytes().subspan(data_begin_ + entry.begin, entry.end - entry.begin);
}

std::span<const std::byte> SafetensorsFile::header() const {
  return file_.bytes().first(data_begin_);
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
  text.append((kDataAlignment - (kLengthBytes + text.size()) % kDataAlignment) % kDataAlignment,
              ' ');
  const uint64_t length = text.size();
  std::string prefix(kLengthBytes, '\0');
  std::memcpy(prefix.data(), &length, kLengthBytes);
  return prefix + text;
}

FileRecord write_safetensors(FileOps& ops, const fs::path& path,
                             const std::vector<TensorEntry>& entries,
                             const std::function<at::Tensor(size_t i)>& tensor,
                             const std::map<std::string, std::string>& metadata) {
  std::vector<size_t> begins;
  const std::string prefix = safetensors_header(entries, metadata, begins);
  FileRecord record{prefix.size() + begins.back(), hash_of_text(prefix), {}};
  const SavesFirst until_written;
  AtomicFile file(ops, path);
  file.write(prefix);
  for (size_t i = 0; i < entries.size(); ++i) {
    const at::Tensor plain = tensor(i).detach().cpu().contiguous();
    const std::span bytes(static_cast<const std::byte*>(plain.data_ptr()), plain.nbytes());
    VIT22B_CHECK(bytes.size() == begins[i + 1] - begins[i], "safetensors: tensor '",
                 entries[i].name, "' is not as its entry says");
    record.tensors[entries[i].name] = xxh3_128(bytes);
    file.write(bytes);
  }
  file.commit();
  return record;
}

FileRecord write_safetensors(FileOps& ops, const fs::path& path, const TensorList& tensors,
                             const std::map<std::string, std::string>& metadata) {
  std::vector<TensorEntry> entries;
  entries.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors)
    entries.push_back({name, tensor.scalar_type(), tensor.sizes().vec()});
  return write_safetensors(
      ops, path, entries, [&](size_t i) { return tensors[i].second; }, metadata);
}

}  // namespace vit22b
