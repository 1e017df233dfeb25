// The pooled features of images, a row each: features CHECKPOINT IMAGE...
#include <vit22b/vit22b.h>

#include <cstdio>

int main(int, char** argv) {
  const vit22b::Model model(argv[1]);
  for (char** file = argv + 2; *file != nullptr; ++file) {
    const vit22b::Array features = model.features(model.preprocess({*file}));
    for (const float value : features.values) std::printf("%.9g ", value);
    std::printf("\n");
  }
}
