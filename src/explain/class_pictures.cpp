#include "explain/class_pictures.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "core/error.h"
#include "data/image_ops.h"
#include "report/page.h"
#include "report/svg.h"

namespace vit22b {

std::array<uint8_t, 3> class_colour(int64_t index) {
  std::array<uint8_t, 3> rgb{};
  for (int bit = 7; index > 0 && bit >= 0; --bit, index >>= 3)
    for (size_t channel = 0; channel < 3; ++channel)
      rgb[channel] = static_cast<uint8_t>(rgb[channel] | (((index >> channel) & 1) << bit));
  return rgb;
}

int64_t plain_class(const std::vector<std::string>& names) {
  return !names.empty() && names.front() == "background" ? 0 : -1;
}

at::Tensor class_overlay(const at::Tensor& picture_HWC, const at::Tensor& classes_HW,
                         int64_t plain) {
  VIT22B_CHECK(
      picture_HWC.size(0) == classes_HW.size(0) && picture_HWC.size(1) == classes_HW.size(1),
      "class_overlay: a picture of ", picture_HWC.sizes(), ", classes of ", classes_HW.sizes());
  at::Tensor result = to_rgb(picture_HWC).clone(at::MemoryFormat::Contiguous);
  const at::Tensor classes = classes_HW.to(at::kInt).contiguous();
  auto* pixel = result.mutable_data_ptr<uint8_t>();
  const auto* index = classes.const_data_ptr<int32_t>();
  for (int64_t i = 0; i < classes.numel(); ++i) {
    if (index[i] < 0 || index[i] == plain) continue;
    const std::array<uint8_t, 3> rgb = class_colour(index[i]);
    for (int64_t c = 0; c < 3; ++c) {
      uint8_t& level = pixel[3 * i + c];
      level = static_cast<uint8_t>((level + rgb[static_cast<size_t>(c)]) / 2);
    }
  }
  return result;
}

namespace {

/// A square of a class's colour.
std::string swatch(int64_t index) {
  const auto [r, g, b] = class_colour(index);
  char text[8];
  std::snprintf(text, sizeof text, "#%02x%02x%02x", r, g, b);
  return concat(
      "<span style=\"display:inline-block;width:1em;height:1em;margin-right:.5em;border:1px "
      "solid gray;vertical-align:-.15em;background:",
      text, "\"></span>");
}

}  // namespace

std::string class_sheet(const std::string& title, const std::vector<SheetPicture>& pictures,
                        const std::vector<std::string>& names, const std::vector<double>& shares) {
  std::string body = concat("<h1>", escape_html(title),
                            "</h1>\n<ul style=\"columns:14rem;list-style:none;padding:0\">\n");
  std::vector<size_t> order(names.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return shares.at(a) > shares.at(b); });
  for (const size_t i : order)
    if (shares.at(i) > 0)
      body += concat("<li>", swatch(static_cast<int64_t>(i)), escape_html(names[i]), " ",
                     formatted("%.1f %%", 100 * shares[i]), "</li>\n");
  body += "</ul>\n";
  for (const SheetPicture& picture : pictures)
    body += concat("<figure style=\"display:inline-block;margin:.3rem;vertical-align:top\">",
                   "<img src=\"", escape_html(picture.file),
                   "\" alt=\"\" style=\"max-width:20rem;max-height:20rem\">",
                   "<figcaption style=\"max-width:20rem;overflow-wrap:anywhere\">",
                   escape_html(picture.title), "</figcaption></figure>\n");
  return html_page(title, body);
}

}  // namespace vit22b
