#include "data/transforms.h"

#include "core/error.h"
#include "data/kinds/kinds.h"
#include "data/operations/operation.h"

namespace vit22b {
namespace {

struct OperationName {
  const char* name;
  size_t max_arguments;
  Act (*make)(const TransformCall&);
};
// The one list of operations on pictures.
constexpr OperationName kOperations[] = {
    {"resize", 4, make_resize},
    {"resize_small", 3, make_resize_small},
    {"resize_cover", 4, make_resize_cover},
    {"resize_fit", 4, make_resize_fit},
    {"resize_multiple", 5, make_resize_multiple},
    {"central_crop", 2, make_central_crop},
    {"crop_or_pad", 66, make_crop_or_pad},
    {"random_crop", 2, make_random_crop},
    {"random_crop_or_pad", 2, make_random_crop_or_pad},
    {"random_scale", 4, make_random_scale},
    {"inception_crop", 4, make_inception_crop},
    {"flip_lr", 0, make_flip_lr},
    {"random_gray", 1, make_random_gray},
    {"random_invert", 1, make_random_invert},
    {"photometric", 0, make_photometric},
    {"value_range", 2, make_range},
    {"normalize", 64, make_range},
    {"gray", 0, make_gray},
    {"rgb", 0, make_rgb},
};

void decode(Sample& sample, Field& field, bool is_oriented) {
  field.value =
      picture_kind(field.kind).decoded({field.encoded, sample.id, sample.max_pixels, is_oriented});
  std::vector<uint8_t>().swap(field.encoded);  // clear() would keep the memory
}

Act make_decode(const TransformCall& call) {
  call.expect_at_most(1);
  const bool is_oriented = !call.arguments.empty();
  if (is_oriented && call.arguments[0] != "orient")
    throw UsageError("preprocessing: decode knows the word orient, got '", call.arguments[0], "'");
  if (is_oriented && call.keys.size() > 1)
    throw UsageError(
        "preprocessing: decode(orient) turns an image by its own EXIF data; decode other fields "
        "without it");
  return [call, is_oriented](Sample& sample, const Draw&) {
    for (const std::string& key : call.keys) {
      auto field = sample.fields.find(key);
      // A sample's only bytes may be wanted under any name.
      if (field == sample.fields.end() && call.keys.size() == 1)
        field = sample.fields.find(kImageField);
      if (field == sample.fields.end())
        throw UsageError(sample.id, ": decode finds no field '", key, "', which the data have not");
      if (field->second.is_decoded()) continue;
      decode(sample, field->second, is_oriented);
      if (call.written_key(key) == field->first) continue;
      auto moved = sample.fields.extract(field);
      sample.fields[call.written_key(key)] = std::move(moved.mapped());
    }
  };
}

Act make_tokenize(const TransformCall& call, std::shared_ptr<const Tokenizer> tokenizer) {
  call.expect_at_most(1);
  const int64_t length = call.size(0, "a number of tokens");
  if (tokenizer == nullptr)
    throw UsageError("preprocessing: tokenize is for models with a text tower");
  return [length, tokenizer = std::move(tokenizer)](Sample& sample, const Draw& draw) {
    if (sample.captions.empty()) throw DataError(sample.id, " has no caption");
    const size_t count = sample.captions.size();
    const auto drawn = static_cast<size_t>(draw.uniform(0) * static_cast<float>(count));
    sample.fields["text"] = {
        FieldKind::kText, tokenizer->encode(sample.captions[std::min(drawn, count - 1)], length)};
  };
}

Act make_act(const TransformCall& call, const std::shared_ptr<const Tokenizer>& tokenizer) {
  if (call.name == "decode") return make_decode(call);
  if (call.name == "tokenize") return make_tokenize(call, tokenizer);
  std::vector<std::string> names = {"decode", "tokenize"};
  for (const OperationName& operation : kOperations) {
    names.emplace_back(operation.name);
    if (call.name != operation.name) continue;
    call.expect_at_most(operation.max_arguments);
    return operation.make(call);
  }
  throw UsageError("preprocessing: no operation '", call.name, "'", did_you_mean(call.name, names),
                   "; there are ", join(names, ", "));
}

}  // namespace

struct Transforms::Operation {
  Act act;
  CounterRng rng;
};

Transforms::Transforms(const std::string& text, uint64_t seed,
                       const std::shared_ptr<const Tokenizer>& tokenizer)
    : text_(text) {
  for (const std::string& part : split(text, '|')) {
    Act act = make_act(parse_transform_call(trim(part)), tokenizer);
    const CounterRng rng(seed, "transform", std::to_string(operations_.size()));
    operations_.push_back(std::make_unique<Operation>(Operation{std::move(act), rng}));
  }
  if (operations_.empty())
    throw UsageError("preprocessing is empty; want at least decode|value_range(-1,1)");
}

Transforms::~Transforms() = default;
Transforms::Transforms(Transforms&&) noexcept = default;

void Transforms::operator()(Sample& sample, uint64_t global_index) const {
  for (const auto& operation : operations_)
    operation->act(sample, Draw(operation->rng, global_index));
}

}  // namespace vit22b
