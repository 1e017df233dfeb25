#include <ATen/ATen.h>

#include "data/geometry.h"
#include "data/preprocessing.h"
#include "data/transforms.h"
#include "fuzz/input.h"

namespace {

// Sizes above 999 are what their writer asks for, and take as long as that takes.
bool has_large_number(std::string_view text) {
  size_t digits = 0;
  for (const char c : text) {
    if (digits > 0 && (c == 'e' || c == 'E' || c == 'x')) return true;
    digits = c >= '0' && c <= '9' ? digits + 1 : 0;
    if (digits > 3) return true;
  }
  return false;
}

}  // namespace

// A text of the preprocessing mini-language, and what it makes of a small picture.
// readers: data/transforms.cpp data/transform_call.cpp data/preprocessing.cpp data/image_ops.cpp
// data/resample.cpp data/geometry.cpp data/operations/operation.cpp data/operations/resize.cpp
// data/operations/crop.cpp data/operations/pixels.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vit22b;
  const std::string text(fuzz::text_of(data, size));
  return fuzz::read([&] {
    if (auto plain = parse_preprocessing(text)) {
      plain->crop_mode();
      plain->border_colours();
      VIT22B_CHECK(parse_preprocessing(plain->text()).has_value(),
                   "no transform any more: ", plain->text());
      plain->crop_pct();
    }
    const Transforms transforms(text);
    if (has_large_number(text)) return;
    Sample sample;
    sample.fields["image"].value = at::arange(3 * 7 * 5, at::kByte).view({7, 5, 3});
    sample.fields["mask"] = {FieldKind::kMask, at::arange(7 * 5, at::kInt).view({7, 5, 1})};
    sample.id = "sample";
    transforms(sample, 0);
    if (const Field& mask = sample.fields.at("mask"); mask.geometry.source_height > 0)
      VIT22B_CHECK(put_back(mask.value, mask.geometry, -1).sizes() == at::IntArrayRef({7, 5, 1}),
                   "put back to another size");
  });
}
