/* A classifier of two kinds of images, trained on frozen features: probe CHECKPOINT A B NEW
 *   cc -std=c99 probe.c $(pkg-config --cflags --libs vit22b) */
#include <stdio.h>
#include <vit22b/vit22b_c.h>

static int failed(void) {
  fprintf(stderr, "probe: %s\n", vit22b_last_error());
  return 1;
}

int main(int argc, char** argv) {
  if (argc != 5) return fprintf(stderr, "probe CHECKPOINT A B NEW\n"), 2;
  const char** files = (const char**)argv + 2;
  const int64_t labels[] = {0, 1};
  vit22b_array images, features, weights, bias;
  vit22b_model* model = vit22b_open(argv[1], "cpu", "fp32", "fused", 0);
  if (!model || vit22b_preprocess(model, files, 3, &images) ||
      vit22b_run(model, "pooled", &images, &features))
    return failed();
  const int64_t width = features.shape[1], known_shape[] = {2, width};
  const vit22b_array known = {known_shape, 2, features.values, NULL};
  if (vit22b_train_classifier(&known, labels, 1.0, &weights, &bias)) return failed();
  float scores[2];
  for (int k = 0; k < 2; ++k) {
    scores[k] = bias.values[k];
    for (int64_t i = 0; i < width; ++i)
      scores[k] += weights.values[k * width + i] * features.values[2 * width + i];
  }
  printf("%c\n", scores[0] > scores[1] ? 'A' : 'B');
  vit22b_free(&images), vit22b_free(&features), vit22b_free(&weights), vit22b_free(&bias);
  vit22b_close(model);
  return 0;
}
