#include "data/operations/operation.h"

#include "core/error.h"
#include "data/kinds/kinds.h"

namespace vit22b {
namespace {

Field& field_of(Sample& sample, const TransformCall& call, const std::string& key) {
  const auto field = sample.fields.find(key);
  if (field == sample.fields.end() || !field->second.is_decoded())
    throw UsageError(sample.id, ": ", call.name, " finds no field '", key,
                     "'; does the transform begin with decode, and have the data such a field?");
  return field->second;
}

void check_picture(const Sample& sample, const TransformCall& call, const std::string& key,
                   const Field& field) {
  if (!is_picture(field.kind))
    throw DataError(sample.id, ": ", call.name, " acts on pictures, and '", key, "' is none");
}

std::string size_text(PictureSize size) {
  return concat(size.height, " x ", size.width);
}

}  // namespace

Act geometric(const TransformCall& call, StepPlan plan) {
  return [call, plan = std::move(plan)](Sample& sample, const Draw& draw) {
    const Field& first = field_of(sample, call, call.keys.front());
    check_picture(sample, call, call.keys.front(), first);
    const PictureSize size = picture_size(first);
    const std::vector<GeometricStep> steps = plan(size, draw);
    for (const std::string& key : call.keys) {
      Field field = field_of(sample, call, key);
      check_picture(sample, call, key, field);
      if (picture_size(field) != size)
        throw DataError(sample.id, ": '", key, "' has ", size_text(picture_size(field)),
                        " pixels, '", call.keys.front(), "' ", size_text(size),
                        "; both have to be of one picture");
      for (const GeometricStep& step : steps) apply_step(field, step);
      sample.fields[call.written_key(key)] = std::move(field);
    }
  };
}

Act on_pixels(const TransformCall& call, PixelChange change) {
  return [call, change = std::move(change)](Sample& sample, const Draw& draw) {
    for (const std::string& key : call.keys) {
      Field field = field_of(sample, call, key);
      if (field.kind != FieldKind::kImage && field.kind != FieldKind::kFrames)
        throw DataError(sample.id, ": ", call.name, " changes colours, and '", key, "' has none");
      field.value = change(field.value, draw);
      sample.fields[call.written_key(key)] = std::move(field);
    }
  };
}

PictureSize size_arguments(const TransformCall& call) {
  const int64_t height = call.size(0, "a size");
  return {height, call.has_number(1) ? call.size(1, "a width") : height};
}

}  // namespace vit22b
