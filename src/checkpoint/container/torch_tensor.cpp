#include "checkpoint/container/torch_tensor.h"

#include <algorithm>
#include <span>

#include "core/checked.h"
#include "core/error.h"
#include "core/strided_bytes.h"
#include "kernels/shape.h"

namespace vit22b {
namespace {

constexpr size_t kMaxDims = 64;  // torch's own limit
constexpr int kMaxWrappers = 8;
constexpr int64_t kRepeatedLimit = int64_t{64} << 20;

struct TorchDtype {
  std::string_view storage, name;
  at::ScalarType dtype;
};
// Complex ones only to know how long their storages are.
constexpr TorchDtype kDtypes[] = {{"FloatStorage", "torch.float32", at::kFloat},
                                  {"HalfStorage", "torch.float16", at::kHalf},
                                  {"BFloat16Storage", "torch.bfloat16", at::kBFloat16},
                                  {"DoubleStorage", "torch.float64", at::kDouble},
                                  {"LongStorage", "torch.int64", at::kLong},
                                  {"IntStorage", "torch.int32", at::kInt},
                                  {"ShortStorage", "torch.int16", at::kShort},
                                  {"CharStorage", "torch.int8", at::kChar},
                                  {"ByteStorage", "torch.uint8", at::kByte},
                                  {"BoolStorage", "torch.bool", at::kBool},
                                  {"UntypedStorage", "", at::kByte},
                                  {"ComplexFloatStorage", "", at::kComplexFloat},
                                  {"ComplexDoubleStorage", "", at::kComplexDouble}};

using Items = std::span<const PickleObject* const>;

Items list_items(const PickleObject* object) {
  const bool is_list = object != nullptr &&
                       (object->kind == PickleKind::kTuple || object->kind == PickleKind::kList);
  return is_list ? Items(object->items) : Items();
}

/// The elements of a tuple or list; of torch.Size too.
Items items_of(const PickleObject* object) {
  if (object == nullptr || object->callee() != "torch.Size") return list_items(object);
  const Items arguments = list_items(object->arguments);
  return arguments.size() == 1 ? list_items(arguments[0]) : Items();
}

/// How a tensor is made, and what of.
struct Making {
  std::string_view function;
  Items arguments;
};

/// What stands behind the functions that only make a parameter of a tensor, or set its class.
Making making_of(const PickleObject* object) {
  for (int i = 0; i < kMaxWrappers && object->kind == PickleKind::kCall; ++i) {
    const std::string_view function = object->callee();
    const Items arguments = items_of(object->arguments);
    if (function.starts_with("torch._utils._rebuild_parameter") && !arguments.empty()) {
      object = arguments[0];
    } else if (function == "torch._tensor._rebuild_from_type_v2" && arguments.size() >= 3) {
      const bool is_named = arguments[0]->kind == PickleKind::kGlobal;
      return {is_named ? std::string_view(arguments[0]->text) : "", items_of(arguments[2])};
    } else {
      return {function, arguments};
    }
  }
  return {"", {}};
}

/// A tensor as a view of a storage.
struct TorchView {
  at::ScalarType dtype = at::kFloat;
  TorchStorage storage;
  int64_t offset = 0;
  std::vector<int64_t> shape, strides;
};

class ViewReader {
 public:
  explicit ViewReader(std::string place) : place_(std::move(place)) {}

  TorchView read(const PickleObject& object) const {
    const auto [function, arguments] = making_of(&object);
    const bool has_dtype = function == "torch._utils._rebuild_tensor_v3";
    if (!has_dtype && function != "torch._utils._rebuild_tensor_v2" &&
        function != "torch._utils._rebuild_tensor")
      throw CheckpointError(place_, " is made by ", function.empty() ? "a function" : function,
                            ", which is not read here; want a dense tensor");
    if (arguments.size() < (has_dtype ? 7U : 4U) || arguments[0]->kind != PickleKind::kPersistent ||
        arguments[1]->kind != PickleKind::kInteger)
      throw CheckpointError(place_, " lacks its storage, offset, shape or strides");
    TorchView view{at::kFloat, torch_storage(*arguments[0], place_), arguments[1]->number,
                   sizes(*arguments[2]), sizes(*arguments[3])};
    view.dtype = has_dtype ? named_dtype(arguments[6]->text) : view.storage.dtype;
    check(view);
    return view;
  }

 private:
  std::vector<int64_t> sizes(const PickleObject& object) const {
    std::vector<int64_t> sizes;
    for (const PickleObject* item : items_of(&object)) {
      if (item->kind != PickleKind::kInteger || item->number < 0 || sizes.size() == kMaxDims)
        throw CheckpointError(place_, " has a shape or strides that are no short list of sizes");
      sizes.push_back(item->number);
    }
    return sizes;
  }

  at::ScalarType named_dtype(const std::string& name) const {
    for (const TorchDtype& known : kDtypes)
      if (!known.name.empty() && known.name == name) return known.dtype;
    throw CheckpointError(place_, " is of the dtype ", name, ", which is not read here");
  }

  void check(const TorchView& view) const {
    if (view.shape.size() != view.strides.size())
      throw CheckpointError(place_, " has ", view.shape.size(), " sizes and ", view.strides.size(),
                            " strides");
    if (c10::isComplexType(view.dtype))
      throw CheckpointError(place_, " is of complex numbers, which are not read here");
  }

  std::string place_;
};

/// The view's place in the file, checked against the bytes that its storage has there.
StridedView placed(const TorchView& view, const StorageRange& range, const std::string& place) {
  const auto element = static_cast<int64_t>(c10::elementSize(view.dtype)),
             storage_element = static_cast<int64_t>(c10::elementSize(view.storage.dtype));
  StridedView placed{range.begin, static_cast<size_t>(element), view.shape, view.strides};
  const auto size = checked_size_bytes(view.shape, element);
  if (!size) throw CheckpointError(place, " has a shape whose size overflows");
  const auto first = checked_mul(view.storage.first, storage_element),
             available = checked_mul(view.storage.count_of_view, storage_element),
             offset = checked_mul(view.offset, element), span = checked_span_bytes(placed);
  const auto storage_end = first && available ? checked_add(*first, *available) : std::nullopt,
             view_end = offset && span ? checked_add(*offset, *span) : std::nullopt;
  if (!storage_end || *storage_end > static_cast<int64_t>(range.size))
    throw CheckpointError(place, " has a storage of ", view.storage.count, " elements, of which ",
                          range.size, " bytes are in the file; it is cut short");
  if (!view_end || *view_end > *available)
    throw CheckpointError(place, " of shape ", shape_text(view.shape),
                          " reaches out of its storage ", "of ", view.storage.count_of_view,
                          " elements");
  if (*size > std::max(*span, kRepeatedLimit))
    throw CheckpointError(place, " repeats ", *span, " bytes as ", *size,
                          ", want at most 64 MiB of such; save a copy of it (clone)");
  placed.begin += static_cast<size_t>(*first + *offset);
  return placed;
}

}  // namespace

TorchStorage torch_storage(const PickleObject& persistent, const std::string& place) {
  const Items id = items_of(persistent.arguments);
  if (id.size() < 5 || id[0]->text != "storage" || id[2]->kind != PickleKind::kText ||
      id[4]->kind != PickleKind::kInteger)
    throw CheckpointError(place, " has a storage that is not as torch.save says one");
  TorchStorage storage;
  const std::string& type = id[1]->text;
  const std::string name = type.substr(type.rfind('.') + 1);
  const auto* known = std::find_if(std::begin(kDtypes), std::end(kDtypes),
                                   [&](const TorchDtype& dtype) { return dtype.storage == name; });
  if (known == std::end(kDtypes))
    throw CheckpointError(place, " has a storage of the unknown type ", type);
  storage.dtype = known->dtype;
  storage.key = id[2]->text;
  storage.count = storage.count_of_view = id[4]->number;
  const Items view = id.size() > 5 ? items_of(id[5]) : Items();
  if (view.size() == 3) {  // its own key, the first element, how many
    storage.first = view[1]->number;
    storage.count_of_view = view[2]->number;
  }
  return storage;
}

bool is_torch_tensor(const PickleObject& object) {
  if (object.kind != PickleKind::kCall) return false;
  const std::string_view function = object.callee();
  return function.starts_with("torch._utils._rebuild_") ||
         function == "torch._tensor._rebuild_from_type_v2";
}

void add_torch_tensor(TensorContainer& container, size_t store, const ByteStore& file,
                      const StorageRanges& storages, const std::string& name,
                      const PickleObject& object) {
  const std::string place = concat(file.place(), ": tensor '", name, "'");
  const TorchView view = ViewReader(place).read(object);
  const auto range = storages.find(view.storage.key);
  if (range == storages.end())
    throw CheckpointError(place, " lies in the storage '", view.storage.key,
                          "', which the file has not; it is cut short");
  const StridedView where = placed(view, range->second, place);
  StoredTensor tensor{view.dtype, view.shape, store, where.begin};
  if (!is_contiguous(where)) {
    tensor.store = container.add_store(strided_bytes(file, where));
    tensor.offset = 0;
  }
  container.add(name, std::move(tensor));
}

}  // namespace vit22b
