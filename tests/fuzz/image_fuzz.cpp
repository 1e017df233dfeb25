#include "data/decode.h"
#include "data/exif.h"
#include "fuzz/input.h"

// A picture of any format, and how it lies. A small limit of pixels keeps the inputs fast; the
// decoders' checks of it are the same.
// readers: data/decode.cpp data/exif.cpp data/formats/bmp.cpp data/formats/gif.cpp
// data/formats/jpeg.cpp data/formats/png.cpp data/formats/tiff.cpp data/formats/webp.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vit22b;
  constexpr int64_t kMostPixels = int64_t{1} << 18;
  return fuzz::read([&] {
    const at::Tensor image_HWC = decode_image({data, size}, "input", kMostPixels);
    VIT22B_CHECK(image_HWC.dim() == 3 && image_HWC.numel() > 0, "an image of another shape");
    turned(image_HWC, exif_orientation({data, size}));
    const at::Tensor values_HW1 = decode_values({data, size}, "input", kMostPixels);
    VIT22B_CHECK(values_HW1.size(0) == image_HWC.size(0) && values_HW1.size(1) == image_HWC.size(1),
                 "values of another shape");
  });
}
