// The best class of each image: classify CHECKPOINT IMAGE...
#include <vit22b/vit22b.h>

#include <algorithm>
#include <cstdio>

int main(int argc, char** argv) {
  const vit22b::Model model(argv[1], {.precision = "bf16"});
  const std::vector<std::string> files(argv + 2, argv + argc);
  const vit22b::Array logits = model.logits(model.preprocess(files));
  const auto classes = logits.shape[1];
  for (size_t i = 0; i < files.size(); ++i) {
    const auto row = logits.values.begin() + static_cast<int64_t>(i) * classes;
    std::printf("%s %td\n", files[i].c_str(), std::max_element(row, row + classes) - row);
  }
}
