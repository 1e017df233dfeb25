#include "api/vit22b_c.h"

#include "api/vit22b.h"
#include "core/checked.h"
#include "core/error.h"

/// What the handle points at.
struct vit22b_model {  // NOLINT(readability-identifier-naming): C's name
  vit22b::Model model;
};

struct vit22b_depth {  // NOLINT(readability-identifier-naming): C's name
  vit22b::DepthEstimator whole;
};

struct vit22b_segmenter {  // NOLINT(readability-identifier-naming): C's name
  vit22b::Segmenter whole;
};

struct vit22b_trainer {  // NOLINT(readability-identifier-naming): C's name
  vit22b::Trainer trainer;
};

namespace vit22b {
namespace {

std::string& last_error() {
  static thread_local std::string text;
  return text;
}

/// Runs something and turns what it throws into a text and a number.
template <class F>
int guarded(F&& run) {
  try {
    run();
    return 0;
  } catch (const c10::Error& error) {
    last_error() = error.what_without_backtrace();
  } catch (const std::exception& error) {
    last_error() = error.what();
  }
  return 1;
}

void give(Array array, vit22b_array* to) {
  auto owned = std::make_unique<Array>(std::move(array));
  to->shape = owned->shape.data();
  to->dims = static_cast<int64_t>(owned->shape.size());
  to->values = owned->values.data();
  to->owner = owned.release();
}

/// Null beyond the last.
const char* name_at(const std::vector<std::string>& names, int64_t index) {
  return index < 0 || index >= static_cast<int64_t>(names.size())
             ? nullptr
             : names[static_cast<size_t>(index)].c_str();
}

/// A copy of an argument.
Array taken(const vit22b_array& array) {
  Array copy{{array.shape, array.shape + array.dims}, {}};
  std::optional<int64_t> count = 1;
  for (const int64_t size : copy.shape)
    if (count = checked_mul(*count, size); !count) throw UsageError("an array's shape is not one");
  copy.values.assign(array.values, array.values + *count);
  return copy;
}

}  // namespace
}  // namespace vit22b

using vit22b::Array;

// NOLINTBEGIN(readability-identifier-naming): C's names
extern "C" {

VIT22B_API const char* vit22b_last_error() {
  return vit22b::last_error().c_str();
}

VIT22B_API const char* vit22b_version() {
  return vit22b::library_version();
}

VIT22B_API vit22b_model* vit22b_open(const char* checkpoint, const char* device,
                                     const char* precision, const char* engine, int64_t threads) {
  std::unique_ptr<vit22b_model> model;
  vit22b::guarded([&] {
    model = std::make_unique<vit22b_model>(
        vit22b_model{vit22b::Model(checkpoint, {device, precision, engine, threads})});
  });
  return model.release();
}

VIT22B_API void vit22b_close(vit22b_model* model) {
  const std::unique_ptr<vit22b_model> owned(model);
}

VIT22B_API int vit22b_image_shape(const vit22b_model* model, int64_t shape[3]) {
  return vit22b::guarded([&] {
    const std::vector<int64_t> own = model->model.image_shape();
    std::copy(own.begin(), own.end(), shape);
  });
}

VIT22B_API const char* vit22b_transforms(const vit22b_model* model) {
  return model->model.transforms().c_str();
}

VIT22B_API const char* vit22b_label_name(const vit22b_model* model, int64_t index) {
  return vit22b::name_at(model->model.label_names(), index);
}

VIT22B_API vit22b_segmenter* vit22b_segmenter_open(const char* checkpoint, const char* device,
                                                   const char* precision, const char* engine,
                                                   int64_t threads) {
  std::unique_ptr<vit22b_segmenter> segmenter;
  vit22b::guarded([&] {
    segmenter = std::make_unique<vit22b_segmenter>(
        vit22b_segmenter{vit22b::Segmenter(checkpoint, {device, precision, engine, threads})});
  });
  return segmenter.release();
}

VIT22B_API void vit22b_segmenter_close(vit22b_segmenter* segmenter) {
  const std::unique_ptr<vit22b_segmenter> owned(segmenter);
}

VIT22B_API const char* vit22b_segmenter_label_name(const vit22b_segmenter* segmenter,
                                                   int64_t index) {
  return vit22b::name_at(segmenter->whole.label_names(), index);
}

VIT22B_API int vit22b_segmenter_segment(const vit22b_segmenter* segmenter, const char* file,
                                        vit22b_array* classes) {
  return vit22b::guarded([&] {
    const vit22b::ClassMap map = segmenter->whole.segment(file);
    vit22b::give({{map.height, map.width}, {map.classes.begin(), map.classes.end()}}, classes);
  });
}

VIT22B_API vit22b_depth* vit22b_depth_open(const char* checkpoint, const char* device,
                                           const char* precision, const char* engine,
                                           int64_t threads) {
  std::unique_ptr<vit22b_depth> depth;
  vit22b::guarded([&] {
    depth = std::make_unique<vit22b_depth>(
        vit22b_depth{vit22b::DepthEstimator(checkpoint, {device, precision, engine, threads})});
  });
  return depth.release();
}

VIT22B_API void vit22b_depth_close(vit22b_depth* depth) {
  const std::unique_ptr<vit22b_depth> owned(depth);
}

VIT22B_API const char* vit22b_depth_unit(const vit22b_depth* depth) {
  return depth->whole.unit().c_str();
}

VIT22B_API int vit22b_depth_of(const vit22b_depth* depth, const char* file, vit22b_array* depths) {
  return vit22b::guarded([&] {
    vit22b::DepthMap map = depth->whole.depth(file);
    vit22b::give({{map.height, map.width}, std::move(map.depths)}, depths);
  });
}

VIT22B_API void vit22b_free(vit22b_array* array) {
  const std::unique_ptr<Array> owned(static_cast<Array*>(array->owner));
  *array = {};
}

VIT22B_API int vit22b_preprocess(const vit22b_model* model, const char* const* files, int64_t count,
                                 vit22b_array* images) {
  return vit22b::guarded([&] {
    vit22b::give(model->model.preprocess({files, files + count}), images);
  });
}

VIT22B_API int vit22b_run(const vit22b_model* model, const char* output, const vit22b_array* images,
                          vit22b_array* answer) {
  return vit22b::guarded([&] {
    const Array array = vit22b::taken(*images);
    const std::string name = output;
    if (name == "pooled")
      vit22b::give(model->model.features(array), answer);
    else if (name == "tokens")
      vit22b::give(model->model.tokens(array), answer);
    else if (name == "logits")
      vit22b::give(model->model.logits(array), answer);
    else
      throw vit22b::UsageError("output '", name, "': want pooled, tokens or logits");
  });
}

VIT22B_API int vit22b_train_classifier(const vit22b_array* features, const int64_t* labels,
                                       double c, vit22b_array* weights, vit22b_array* bias) {
  return vit22b::guarded([&] {
    const Array data = vit22b::taken(*features);
    const int64_t count = data.shape.empty() ? 0 : data.shape.front();
    vit22b::Classifier trained = vit22b::train_classifier(data, {labels, labels + count}, c);
    vit22b::give(std::move(trained.weights), weights);
    vit22b::give(std::move(trained.bias), bias);
  });
}

VIT22B_API vit22b_trainer* vit22b_trainer_open(const char* config, const char* const* overrides,
                                               int64_t count) {
  std::unique_ptr<vit22b_trainer> trainer;
  vit22b::guarded([&] {
    trainer = std::make_unique<vit22b_trainer>(
        vit22b_trainer{vit22b::Trainer(config, {overrides, overrides + count})});
  });
  return trainer.release();
}

VIT22B_API void vit22b_trainer_close(vit22b_trainer* trainer) {
  const std::unique_ptr<vit22b_trainer> owned(trainer);
}

VIT22B_API int vit22b_trainer_step(vit22b_trainer* trainer, const vit22b_array* images,
                                   const int64_t* labels, double* loss) {
  return vit22b::guarded([&] {
    const Array batch = vit22b::taken(*images);
    const int64_t count = batch.shape.empty() ? 0 : batch.shape.front();
    *loss = trainer->trainer.step(batch, {labels, labels + count});
  });
}

VIT22B_API int64_t vit22b_trainer_steps(const vit22b_trainer* trainer) {
  return trainer->trainer.steps();
}

VIT22B_API double vit22b_trainer_learning_rate(const vit22b_trainer* trainer) {
  return trainer->trainer.learning_rate();
}

VIT22B_API int vit22b_trainer_preprocess(const vit22b_trainer* trainer, const char* const* files,
                                         int64_t count, vit22b_array* images) {
  return vit22b::guarded([&] {
    vit22b::give(trainer->trainer.preprocess({files, files + count}), images);
  });
}

VIT22B_API int vit22b_trainer_logits(vit22b_trainer* trainer, const vit22b_array* images,
                                     vit22b_array* answer) {
  return vit22b::guarded(
      [&] { vit22b::give(trainer->trainer.logits(vit22b::taken(*images)), answer); });
}

VIT22B_API int vit22b_trainer_save(vit22b_trainer* trainer, const char* folder) {
  return vit22b::guarded([&] { trainer->trainer.save(folder); });
}

}  // extern "C"
// NOLINTEND(readability-identifier-naming)
