#include "data/preprocessing.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iomanip>

#include "core/error.h"
#include "data/transform_call.h"

namespace vit22b {
namespace {

using Resize = Preprocessing::Resize;
using Crop = Preprocessing::Crop;

struct ResizeName {
  const char* name;
  Resize resize;
};
constexpr ResizeName kResizes[] = {{"resize", Resize::kSquash},
                                   {"resize_small", Resize::kShortSide},
                                   {"resize_cover", Resize::kCover},
                                   {"resize_multiple", Resize::kMultiple},
                                   {"resize_fit", Resize::kFit}};
struct CropName {
  const char* name;
  Crop crop;
};
constexpr CropName kCrops[] = {{"central_crop", Crop::kCentral}, {"crop_or_pad", Crop::kOrPad}};

/// The shortest text that reads back as the same number.
std::string shortest(double value) {
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

std::string joined(const std::vector<double>& values) {
  std::vector<std::string> texts;
  texts.reserve(values.size());
  for (const double value : values) texts.push_back(shortest(value));
  return join(texts, ",");
}

/// "h" for squares, "h,w" for others.
std::string size_text(int64_t height, int64_t width) {
  return height == width ? concat(height) : concat(height, ",", width);
}

bool read_decode(const TransformCall& call, Preprocessing& p) {
  if (call.name != "decode") return false;
  p.orients = call.arguments == std::vector<std::string>{"orient"};
  return call.arguments.empty() || p.orients;
}

bool read_channels(const TransformCall& call, Preprocessing& p) {
  if ((call.name != "rgb" && call.name != "gray") || !call.arguments.empty()) return false;
  p.channels = call.name == "rgb" ? 3 : 1;
  return true;
}

bool read_resize(const TransformCall& call, Preprocessing& p) {
  for (const ResizeName& known : kResizes) {
    if (call.name != known.name) continue;
    p.resize = known.resize;
    p.resize_height = call.size(0, "a size");
    p.resize_width = call.has_number(1) ? call.size(1, "a width") : p.resize_height;
    size_t next = call.has_number(1) ? 2 : 1;
    if (p.resize == Resize::kMultiple) p.resize_multiple = call.size(next++, "a multiple");
    const ResizeMethod method = call.method(next);
    p.interpolation = method.name;
    p.is_pil = method.is_pil;
    return call.arguments.size() <= next + 2;
  }
  return false;
}

bool read_crop(const TransformCall& call, Preprocessing& p) {
  for (const CropName& known : kCrops) {
    if (call.name != known.name) continue;
    p.crop = known.crop;
    p.crop_height = call.size(0, "a size");
    p.crop_width = call.has_number(1) ? call.size(1, "a width") : p.crop_height;
    for (size_t i = 2; i < call.arguments.size(); ++i) p.fill.push_back(call.number(i, "a colour"));
    return p.fill.empty() || p.crop == Crop::kOrPad;
  }
  return false;
}

bool read_scale(const TransformCall& call, Preprocessing& p) {
  std::vector<double> numbers;
  for (size_t i = 0; i < call.arguments.size(); ++i) numbers.push_back(call.number(i, "a number"));
  if (call.name == "value_range") {
    if (numbers.size() != 2 || !(numbers[0] < numbers[1])) return false;
    const double range = numbers[1] - numbers[0];
    p.mean = {0 - numbers[0] / range};
    p.stddev = {1 / range};
    p.is_value_range = true;
    return true;
  }
  const auto half = static_cast<ptrdiff_t>(numbers.size() / 2);
  if (call.name != "normalize" || half == 0 || numbers.size() % 2 != 0) return false;
  p.mean = {numbers.begin(), numbers.begin() + half};
  p.stddev = {numbers.begin() + half, numbers.end()};
  return std::all_of(p.stddev.begin(), p.stddev.end(), [](double s) { return s > 0; });
}

/// The decimal of the fewest digits in (low, high], the largest of these: what a person wrote.
double roundest(double low, double high) {
  for (double scale = 1; scale <= 1e6; scale *= 10) {
    const double candidate = std::floor(high * scale * (1 + 1e-12)) / scale;
    if (candidate > low && candidate > 0) return candidate;
  }
  return high;
}

int64_t resized_side(int64_t side, double pct) {
  constexpr double kNoSide = 1e9;  // what is larger is refused as well, and need not fit
  return static_cast<int64_t>(
      std::clamp(std::floor(static_cast<double>(side) / pct), 0 - kNoSide, kNoSide));
}

}  // namespace

std::string Preprocessing::text() const {
  std::vector<std::string> calls = {orients ? "decode(orient)" : "decode"};
  if (channels != 0) calls.emplace_back(channels == 1 ? "gray" : "rgb");
  for (const ResizeName& known : kResizes) {
    if (known.resize != resize) continue;
    std::string call = concat(known.name, "(", size_text(resize_height, resize_width));
    if (resize == Resize::kMultiple)
      call = concat(known.name, "(", resize_height, ",", resize_width, ",", resize_multiple);
    if (interpolation != "bilinear" || is_pil) call += "," + interpolation;
    calls.push_back(call + (is_pil ? ",pil)" : ")"));
  }
  for (const CropName& known : kCrops) {
    if (known.crop != crop) continue;
    const bool has_fill = !fill.empty();
    calls.push_back(concat(known.name, "(",
                           has_fill ? concat(crop_height, ",", crop_width, ",", joined(fill))
                                    : size_text(crop_height, crop_width),
                           ")"));
  }
  calls.push_back(scale_text());
  return join(calls, "|");
}

int64_t Preprocessing::height() const {
  if (crop != Crop::kNone) return crop_height;
  return resize == Resize::kSquash ? resize_height : 0;
}

int64_t Preprocessing::width() const {
  if (crop != Crop::kNone) return crop_width;
  return resize == Resize::kSquash ? resize_width : 0;
}

std::string Preprocessing::scale_text() const {
  if (is_value_range)  // two divisions away from what was written: the last digit is their rounding
    return concat(std::setprecision(15), "value_range(", (0 - mean.at(0)) / stddev.at(0), ",",
                  (1 - mean.at(0)) / stddev.at(0), ")");
  return concat("normalize(", joined(mean), ",", joined(stddev), ")");
}

std::optional<double> Preprocessing::crop_pct() const {
  if (crop == Crop::kNone)
    return resize == Resize::kNone || resize == Resize::kSquash ? std::optional(1.0) : std::nullopt;
  if (resize == Resize::kNone) return std::nullopt;
  const auto ratio = [](int64_t side, int64_t resized) {
    return static_cast<double>(side) / static_cast<double>(resized);
  };
  const double high = std::min(ratio(crop_height, resize_height), ratio(crop_width, resize_width));
  const double low =
      std::max(ratio(crop_height, resize_height + 1), ratio(crop_width, resize_width + 1));
  // PIL's form comes from a crop_pct that someone wrote; others are the quotient.
  double pct = is_pil ? roundest(low, high) : high;
  const auto fits = [&] {
    return resized_side(crop_height, pct) == resize_height &&
           resized_side(crop_width, pct) == resize_width;
  };
  if (!fits()) pct = std::nextafter(pct, 0.0);  // the quotient's own rounding
  return fits() ? std::optional(pct) : std::nullopt;
}

std::optional<std::string> Preprocessing::crop_mode() const {
  switch (resize) {
    case Resize::kSquash:
      return "squash";
    case Resize::kNone:
      return crop == Crop::kNone ? std::optional<std::string>("center") : std::nullopt;
    case Resize::kShortSide:
    case Resize::kCover:
      return crop != Crop::kNone ? std::optional<std::string>("center") : std::nullopt;
    case Resize::kMultiple:
      return std::nullopt;
    case Resize::kFit:
      break;
  }
  const bool is_border = crop == Crop::kOrPad && fill == border_colours();
  return is_border ? std::optional<std::string>("border") : std::nullopt;
}

void Preprocessing::resize_to(double pct) {
  resize_height = resized_side(crop_height, pct);
  resize_width = resized_side(crop_width, pct);
  const bool is_square = resize_height == resize_width;
  if (resize == Resize::kShortSide && !is_square) resize = Resize::kCover;
  if (resize == Resize::kCover && is_square) resize = Resize::kShortSide;
}

std::vector<double> Preprocessing::border_colours() const {
  std::vector<double> colours;
  for (const double value : mean)
    colours.push_back(std::clamp(std::nearbyint(255 * value), 0.0, 255.0));
  return colours;
}

void Preprocessing::set_size(int64_t new_height, int64_t new_width) {
  if (resize == Resize::kMultiple && crop == Crop::kNone) {
    resize_height = new_height;
    resize_width = new_width;
    return;
  }
  const std::optional<double> pct = crop_pct();
  if (!pct)
    throw UsageError("preprocessing: '", text(), "' says no crop_pct to keep for another size");
  if (crop == Crop::kNone) {
    resize = Resize::kSquash;
    resize_height = new_height;
    resize_width = new_width;
    return;
  }
  crop_height = new_height;
  crop_width = new_width;
  resize_to(*pct);
}

void Preprocessing::set_crop_pct(double pct) {
  if (!(pct > 0 && pct <= 10))
    throw UsageError("preprocessing: a crop_pct of ", pct, ", want above 0 and at most 10");
  if (resize == Resize::kNone || height() == 0)
    throw UsageError("preprocessing: '", text(), "' resizes to no size that crop_pct could change");
  if (crop == Crop::kNone) {
    crop = is_pil ? Crop::kOrPad : Crop::kCentral;
    crop_height = resize_height;
    crop_width = resize_width;
  }
  resize_to(pct);
}

std::optional<Preprocessing> parse_preprocessing(const std::string& text) try {
  std::vector<TransformCall> calls;
  for (const std::string& part : split(text, '|')) {
    calls.push_back(parse_transform_call(trim(part)));
    if (!calls.back().is_of_image()) return std::nullopt;
  }
  Preprocessing p;
  size_t next = 0;
  const auto take = [&](bool (*read)(const TransformCall&, Preprocessing&)) {
    const bool is_taken = next < calls.size() && read(calls[next], p);
    next += is_taken;
    return is_taken;
  };
  if (!take(read_decode)) return std::nullopt;
  take(read_channels);
  take(read_resize);
  take(read_crop);
  return take(read_scale) && next == calls.size() ? std::optional(p) : std::nullopt;
} catch (const UsageError&) {
  return std::nullopt;  // words that the language lacks
}

}  // namespace vit22b
