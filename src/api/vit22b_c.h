#pragma once
/* The library's interface for C, and for languages that call C; see vit22b.h for what each does. A
 * function that fails returns NULL or a number other than 0, and vit22b_last_error() says why. */
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vit22b_model vit22b_model;

/* The text of this thread's last failure. */
const char* vit22b_last_error(void);
const char* vit22b_version(void);

vit22b_model* vit22b_open(const char* checkpoint, const char* device, const char* precision,
                          const char* engine, int64_t threads);
void vit22b_close(vit22b_model* model);

/* Channels, height and width of an image. */
int vit22b_image_shape(const vit22b_model* model, int64_t shape[3]);
/* The transform's text, and a class's name: NULL beyond the last. They live as long as the model.
 */
const char* vit22b_transforms(const vit22b_model* model);
const char* vit22b_label_name(const vit22b_model* model, int64_t index);

/* Numbers with a shape, the last dimension densest. Of an answer, shape and values live until it is
 * freed; of an argument, they are the caller's, and owner is not looked at. */
typedef struct vit22b_array {  // NOLINT(readability-identifier-naming): C's name
  const int64_t* shape;
  int64_t dims;
  const float* values;
  void* owner;
} vit22b_array;
void vit22b_free(vit22b_array* array);

int vit22b_preprocess(const vit22b_model* model, const char* const* files, int64_t count,
                      vit22b_array* images);
/* output: "pooled", "tokens" or "logits"; images of shape [B, C, H, W]. */
int vit22b_run(const vit22b_model* model, const char* output, const vit22b_array* images,
               vit22b_array* answer);
/* features [N, D], labels N numbers from 0 on: weights [C, D] and bias [C]. */
int vit22b_train_classifier(const vit22b_array* features, const int64_t* labels, double c,
                            vit22b_array* weights, vit22b_array* bias);

/* The class of every pixel; the map of a file is [height, width], whole numbers. */
typedef struct vit22b_segmenter vit22b_segmenter;
vit22b_segmenter* vit22b_segmenter_open(const char* checkpoint, const char* device,
                                        const char* precision, const char* engine, int64_t threads);
void vit22b_segmenter_close(vit22b_segmenter* segmenter);
const char* vit22b_segmenter_label_name(const vit22b_segmenter* segmenter, int64_t index);
int vit22b_segmenter_segment(const vit22b_segmenter* segmenter, const char* file,
                             vit22b_array* classes);

/* How far every pixel is; the map of a file is [height, width], in metres or as the unit says. */
typedef struct vit22b_depth vit22b_depth;
vit22b_depth* vit22b_depth_open(const char* checkpoint, const char* device, const char* precision,
                                const char* engine, int64_t threads);
void vit22b_depth_close(vit22b_depth* depth);
const char* vit22b_depth_unit(const vit22b_depth* depth);
int vit22b_depth_of(const vit22b_depth* depth, const char* file, vit22b_array* depths);

/* Training step by step; config is a TOML file, a checkpoint's folder, or "". */
typedef struct vit22b_trainer vit22b_trainer;
vit22b_trainer* vit22b_trainer_open(const char* config, const char* const* overrides,
                                    int64_t count);
void vit22b_trainer_close(vit22b_trainer* trainer);
/* images [B, C, H, W], labels B numbers from 0 on; loss is the batch's before the update. */
int vit22b_trainer_step(vit22b_trainer* trainer, const vit22b_array* images, const int64_t* labels,
                        double* loss);
int64_t vit22b_trainer_steps(const vit22b_trainer* trainer);
double vit22b_trainer_learning_rate(const vit22b_trainer* trainer);
int vit22b_trainer_preprocess(const vit22b_trainer* trainer, const char* const* files,
                              int64_t count, vit22b_array* images);
int vit22b_trainer_logits(vit22b_trainer* trainer, const vit22b_array* images,
                          vit22b_array* answer);
int vit22b_trainer_save(vit22b_trainer* trainer, const char* folder);

#ifdef __cplusplus
}
#endif
