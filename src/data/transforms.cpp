#include "data/transforms.h"

#include "core/error.h"
#include "data/image_ops.h"
#include "data/pixel_range.h"
#include "data/transform_call.h"

namespace vit22b {
namespace {

using Apply = std::function<at::Tensor(const at::Tensor&, const Draw&)>;
using Act = std::function<void(Sample&, const Draw&)>;

struct Size {
  int64_t height, width;
};
Size size_arguments(const TransformCall& c) {
  const int64_t height = c.size(0, "a size");
  return {height, c.has_number(1) ? c.size(1, "a width") : height};
}

Apply make_resize(const TransformCall& c) {
  const Size size = size_arguments(c);
  const ResizeMethod method = c.method(c.has_number(1) ? 2 : 1);
  return [=](const at::Tensor& image, const Draw&) {
    return resize_image(image, size.height, size.width, method);
  };
}

Apply make_resize_small(const TransformCall& c) {
  const int64_t side = c.size(0, "a size");
  const ResizeMethod method = c.method(1);
  return [=](const at::Tensor& image, const Draw&) {
    const auto smallest = static_cast<double>(std::min(image.size(0), image.size(1)));
    const double scale = static_cast<double>(side) / smallest;
    const auto scaled = [&](int64_t n) {
      // torchvision cuts the long side.
      if (method.is_pil) return static_cast<int64_t>(static_cast<double>(side * n) / smallest);
      return std::max<int64_t>(side, std::llround(static_cast<double>(n) * scale));
    };
    return resize_image(image, scaled(image.size(0)), scaled(image.size(1)), method);
  };
}

/// Keeps the image's shape, both sides rounded half to even: timm's ResizeKeepRatio.
Apply make_resize_to_shape(const TransformCall& c, bool is_cover) {
  const Size size = size_arguments(c);
  const ResizeMethod method = c.method(c.has_number(1) ? 2 : 1);
  return [=](const at::Tensor& image, const Draw&) {
    const auto height = static_cast<double>(image.size(0)),
               width = static_cast<double>(image.size(1));
    const double down = height / static_cast<double>(size.height),
                 across = width / static_cast<double>(size.width);
    const double ratio = is_cover ? std::min(down, across) : std::max(down, across);
    const auto scaled = [&](double side) {
      return std::max<int64_t>(1, std::llrint(side / ratio));
    };
    return resize_image(image, scaled(height), scaled(width), method);
  };
}

Apply make_crop_or_pad(const TransformCall& c) {
  const Size size = size_arguments(c);
  std::vector<double> fill;
  for (size_t i = 2; i < c.arguments.size(); ++i) {
    fill.push_back(c.number(i, "a colour"));
    if (!(fill.back() >= 0 && fill.back() <= 255))
      throw UsageError("preprocessing: crop_or_pad wants colours of 0 to 255, got ", fill.back());
  }
  return [=](const at::Tensor& image, const Draw&) {
    return crop_or_pad(image, size.height, size.width, fill);
  };
}

Apply make_central_crop(const TransformCall& c) {
  const Size size = size_arguments(c);
  return [=](const at::Tensor& image, const Draw&) {
    const int64_t top = (image.size(0) - size.height) / 2, left = (image.size(1) - size.width) / 2;
    return crop_image(image, {top, left, size.height, size.width});
  };
}

Apply make_random_crop(const TransformCall& c) {
  const Size size = size_arguments(c);
  return [=](const at::Tensor& image, const Draw& draw) {
    const auto offset = [&](int64_t room, uint64_t k) {
      return static_cast<int64_t>(draw.uniform(k) *
                                  static_cast<float>(std::max<int64_t>(0, room) + 1));
    };
    return crop_image(image, {offset(image.size(0) - size.height, 0),
                              offset(image.size(1) - size.width, 1), size.height, size.width});
  };
}

/// size; size, area_min; size, area_min, area_max; or height, width, area_min, area_max.
Apply make_inception_crop(const TransformCall& c) {
  const size_t areas = c.arguments.size() == 4 ? 2 : 1;  // the first area's place
  const int64_t height = c.size(0, "a size"), width = areas == 2 ? c.size(1, "a width") : height;
  const auto area = [&](size_t i, const char* what, double otherwise) {
    return c.arguments.size() > i ? c.number(i, what) : otherwise;
  };
  const double area_min = area(areas, "a smallest area in percent", 5),
               area_max = area(areas + 1, "a largest area in percent", 100);
  if (!(area_min > 0 && area_min <= area_max && area_max <= 100))
    throw UsageError("preprocessing: inception_crop wants 0 < area_min <= area_max <= 100 percent");
  return [=](const at::Tensor& image, const Draw& draw) {
    const CropBox box = inception_box(image.size(0), image.size(1), area_min / 100, area_max / 100,
                                      [&](uint64_t k) { return draw.uniform(k); });
    return resize_image(crop_image(image, box), height, width, {"bilinear"});
  };
}

Apply make_range(const TransformCall& c) {
  const PixelRange range = range_of(c);
  return [=](const at::Tensor& image, const Draw&) {
    return scale_pixels(image, range.scale, range.shift);
  };
}

Apply make_flip(const TransformCall&) {
  return [](const at::Tensor& image, const Draw& draw) {
    return draw.uniform(0) < 0.5F ? image.flip(1) : image;
  };
}

double percent_argument(const TransformCall& c) {
  const double percent = c.number(0, "a share in percent");
  if (!(percent >= 0 && percent <= 100))
    throw UsageError("preprocessing: ", c.name, " wants 0 to 100 percent");
  return percent;
}

Apply make_random_gray(const TransformCall& c) {
  const double percent = percent_argument(c);
  return [=](const at::Tensor& image, const Draw& draw) {
    if (draw.uniform(0) * 100 >= percent || image.size(2) == 1) return image;
    return to_rgb(to_gray(image));
  };
}

Apply make_random_invert(const TransformCall& c) {
  const double percent = percent_argument(c);
  return [=](const at::Tensor& image, const Draw& draw) {
    return draw.uniform(0) * 100 < percent ? invert_pixels(image) : image;
  };
}

struct OperationName {
  const char* name;
  size_t max_arguments;
  Apply (*make)(const TransformCall&);
};
// The one list of operations on a field of the sample.
constexpr OperationName kOperations[] = {
    {"resize", 4, make_resize},
    {"resize_small", 3, make_resize_small},
    {"resize_cover", 4,
     [](const TransformCall& c) { return make_resize_to_shape(c, /*is_cover=*/true); }},
    {"resize_fit", 4,
     [](const TransformCall& c) { return make_resize_to_shape(c, /*is_cover=*/false); }},
    {"central_crop", 2, make_central_crop},
    {"crop_or_pad", 66, make_crop_or_pad},
    {"random_crop", 2, make_random_crop},
    {"inception_crop", 4, make_inception_crop},
    {"flip_lr", 0, make_flip},
    {"random_gray", 1, make_random_gray},
    {"random_invert", 1, make_random_invert},
    {"value_range", 2, make_range},
    {"normalize", 64, make_range},
    {"gray", 0,
     [](const TransformCall&) -> Apply {
       return [](const at::Tensor& image, const Draw&) { return to_gray(image); };
     }},
    {"rgb", 0,
     [](const TransformCall&) -> Apply {
       return [](const at::Tensor& image, const Draw&) { return to_rgb(image); };
     }},
};

Act on_field(const TransformCall& call, Apply apply) {
  return [call, apply = std::move(apply)](Sample& sample, const Draw& draw) {
    const auto input = sample.fields.find(call.in_key);
    if (input == sample.fields.end())
      throw DataError(sample.id, ": ", call.name, " finds no field '", call.in_key,
                      "'; does the transform begin with decode?");
    sample.fields[call.out_key] = apply(input->second, draw);
  };
}

Act make_decode(const TransformCall& call) {
  call.expect_at_most(1);
  const bool is_oriented = !call.arguments.empty();
  if (is_oriented && call.arguments[0] != "orient")
    throw UsageError("preprocessing: decode knows the word orient, got '", call.arguments[0], "'");
  return [call, is_oriented](Sample& sample, const Draw&) {
    if (sample.fields.count(call.in_key) == 0) decode_sample(sample, call.out_key, is_oriented);
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
    sample.fields["text"] = tokenizer->encode(sample.captions[std::min(drawn, count - 1)], length);
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
    return on_field(call, operation.make(call));
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
