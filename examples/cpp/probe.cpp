// A classifier of two kinds of images, trained on frozen features: probe CHECKPOINT A1 A2 ... -- B1
// B2 ... -- NEW
#include <vit22b/vit22b.h>

#include <cstdio>
#include <cstring>

int main(int argc, char** argv) {
  const vit22b::Model model(argv[1]);
  std::vector<std::string> files[3];
  for (int i = 2, kind = 0; i < argc; ++i)
    std::strcmp(argv[i], "--") == 0 ? void(++kind) : files[kind].push_back(argv[i]);
  std::vector<int64_t> labels(files[0].size(), 0);
  labels.resize(files[0].size() + files[1].size(), 1);
  files[0].insert(files[0].end(), files[1].begin(), files[1].end());
  const auto classifier =
      vit22b::train_classifier(model.features(model.preprocess(files[0])), labels);
  for (const int64_t kind : classifier.predict(model.features(model.preprocess(files[2]))))
    std::printf("%c\n", kind == 0 ? 'A' : 'B');
}
