#include "explain/pictures.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "data/decode.h"
#include "data/encode.h"

namespace vit22b {
namespace {

at::Tensor pixel(const at::Tensor& picture, int64_t y, int64_t x) {
  return picture[y][x].to(at::kLong);
}

TEST(PatchPicture, DrawsEachPatchAsASquareBetweenDarkAndBright) {
  const at::Tensor picture = patch_picture(at::tensor({0.0F, 1.0F, 0.5F, 2.0F}).view({2, 2}), 6, 4);
  EXPECT_EQ(picture.sizes(), (at::IntArrayRef{6, 4, 3}));
  EXPECT_TRUE(pixel(picture, 2, 1).equal(at::tensor({68, 1, 84}, at::kLong)));
  EXPECT_TRUE(pixel(picture, 0, 2).equal(at::tensor({253, 231, 37}, at::kLong)));
  EXPECT_TRUE(pixel(picture, 3, 0).equal(at::tensor({33, 145, 140}, at::kLong)));
  EXPECT_TRUE(pixel(picture, 5, 3).equal(at::tensor({253, 231, 37}, at::kLong)));  // clamped
}

TEST(Overlay, IsTheGreyImageWithoutStrength) {
  const at::Tensor image = at::tensor({-1.0F, 1.0F}).view({1, 1, 2}).expand({3, 1, 2});
  const at::Tensor picture = overlay(image, at::ones({1, 1}), 0);
  EXPECT_TRUE(pixel(picture, 0, 0).equal(at::zeros({3}, at::kLong)));
  EXPECT_TRUE(pixel(picture, 0, 1).equal(at::full({3}, 255, at::kLong)));
}

TEST(EncodePng, IsReadBackBitForBit) {
  at::manual_seed(0);
  for (const int64_t channels : {1, 3}) {
    const at::Tensor image = at::randint(256, {7, 5, channels}, at::kByte);
    const std::string bytes = encode_png(image);
    EXPECT_TRUE(decode_image({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, "p")
                    .equal(image));
  }
}

TEST(TerminalText, HasTwoPixelsACharacterInColoursOrLetters) {
  const at::Tensor picture = at::zeros({4, 2, 3}, at::kByte);
  picture.slice(0, 2).fill_(255);
  EXPECT_EQ(terminal_text(picture, 80, false), "  \n@@\n");
  const std::string one = "\033[38;2;0;0;0;48;2;0;0;0m\u2580";
  EXPECT_EQ(terminal_text(picture, 80, true).substr(0, 2 * one.size() + 5),
            one + one + "\033[0m\n");
}

// numpy.lib.format: the header's length is at byte 8, and data begins at a multiple of 64.
TEST(Npy, HasNumPysHeaderAndTheValues) {
  const std::string bytes = npy_bytes(at::tensor({1.0F, 2.0F, 3.0F}));
  EXPECT_EQ(bytes.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  EXPECT_EQ(bytes.size(), 128 + 12U);
  EXPECT_EQ(bytes.substr(10, 62), "{'descr': '<f4', 'fortran_order': False, 'shape': (3, ), }    ");
  EXPECT_EQ(bytes[127], '\n');
  EXPECT_NE(npy_bytes(at::zeros({2, 3})).find("'shape': (2, 3), }"), std::string::npos);
}

}  // namespace
}  // namespace vit22b
