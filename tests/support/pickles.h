#pragma once
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "support/zip_archive.h"

// Pickles written by hand, an instruction of pickletools' at a time. Each function gives the
// instructions that leave one object on the stack.

namespace vit22b::test::pickles {

using Dict = std::vector<std::pair<std::string, std::string>>;

inline std::string text(const std::string& value) {
  return "X" + little(value.size(), 4) + value;
}
inline std::string number(int64_t value) {
  return "\x8a\x08" + little(static_cast<uint64_t>(value), 8);
}
inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string tuple(const std::vector<std::string>& items) {
  std::string all = "(";
  for (const std::string& item : items) all += item;
  return all + "t";
}
inline std::string list(const std::vector<std::string>& items) {
  std::string all = "](";
  for (const std::string& item : items) all += item;
  return all + "e";
}
inline std::string numbers(const std::vector<int64_t>& values) {
  std::vector<std::string> items;
  for (const int64_t value : values) items.push_back(number(value));
  return tuple(items);
}
/// Values by texts.
inline std::string dict(const Dict& entries) {
  std::string all = "}(";
  for (const auto& [key, value] : entries) all += text(key) + value;
  return all + "u";
}
inline std::string call(const std::string& function, const std::string& arguments) {
  return function + arguments + "R";
}
/// An object of a class, with a state.
inline std::string object(const std::string& type, const std::string& state) {
  return type + ")\x81" + state + "b";
}
inline std::string ordered_dict(const Dict& entries) {
  std::string all = call(global("collections", "OrderedDict"), ")") + "(";
  for (const auto& [key, value] : entries) all += text(key) + value;
  return all + "u";
}
inline std::string storage(const std::string& type, const std::string& key, int64_t count) {
  return tuple({text("storage"), global("torch", type), text(key), text("cpu"), number(count)}) +
         "Q";
}
/// A view of a storage, in elements.
struct View {
  int64_t offset = 0;
  std::vector<int64_t> shape, strides;
};
inline std::string tensor(const std::string& storage, const View& view) {
  return call(global("torch._utils", "_rebuild_tensor_v2"),
              tuple({storage, number(view.offset), numbers(view.shape), numbers(view.strides),
                     "\x89", ordered_dict({})}));
}
/// A vector of floats that is all of a storage.
inline std::string floats(const std::string& key, int64_t count) {
  return tensor(storage("FloatStorage", key, count), {0, {count}, {1}});
}
inline std::string whole(const std::string& root) {
  return "\x80\2" + root + ".";
}

/// An archive of torch.save's: the object, and storages by their keys.
inline std::string archive(const std::string& root, const Dict& storages) {
  std::vector<ZipEntry> entries = {{"any/data.pkl", whole(root)}, {"any/byteorder", "little"}};
  for (const auto& [key, bytes] : storages) entries.push_back({"any/data/" + key, bytes});
  return zip_archive(entries);
}

/// What torch.save wrote before 1.6; storages are elements, and their bytes.
struct StreamStorage {
  std::string key;
  int64_t count;
  std::string bytes;
};
inline std::string stream(const std::string& root, const std::vector<StreamStorage>& storages,
                          const std::string& is_little_endian = "\x88") {
  std::vector<std::string> keys;
  std::string data;
  for (const StreamStorage& storage : storages) {
    keys.push_back(text(storage.key));
    data += little(static_cast<uint64_t>(storage.count), 8) + storage.bytes;
  }
  return whole(std::string("\x8a\n\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 12)) +
         whole(number(1001)) + whole(dict({{"little_endian", is_little_endian}})) + whole(root) +
         whole(list(keys)) + data;
}

}  // namespace vit22b::test::pickles
