#include "cli/help.h"

#include <CLI/CLI.hpp>
#include <array>

#include "core/text.h"

namespace vit22b {
namespace {

// One list, so that --help, the manual page and the tests show the same.
struct Examples {
  const char* command;
  std::array<const char*, 3> lines;  ///< null where there are fewer
};
constexpr Examples kExamples[] = {
    {"train",
     {"vit22b train configs/train/fashion_mnist.toml --out runs/fashion",
      "vit22b train CONFIG optim.lr=3e-4 total_epochs=10 --out RUN --procs 2"}},
    {"finetune", {"vit22b finetune CONFIG --init-from CKPT data.root=DIR --out RUN"}},
    {"lit",
     {"vit22b lit CONFIG lit.image_tower=CKPT data.root=captions.csv --out RUN",
      "vit22b lit CONFIG lit.image_tower=CKPT lit.unlock=2 lit.image_lr=0.1 --out RUN"}},
    {"distill", {"vit22b distill CONFIG distill.teachers='[\"TEACHER\"]' data.mixup=1 --out RUN"}},
    {"segment",
     {"vit22b segment CKPT --data masks:DIR --out runs/head",
      "vit22b segment configs/train/segment.toml --init-from CKPT --data DIR segment.head=upernet",
      "vit22b segment run runs/head photos/ --out pictures/"}},
    {"segment run", {"vit22b segment run runs/head photos/ --out pictures/"}},
    {"depth",
     {"vit22b depth CKPT --data depth:DIR --out runs/depth",
      "vit22b depth CKPT --data depth:KITTI depth.unit=1/256 depth.max_depth=80 --out runs/far",
      "vit22b depth run runs/depth photos/ --out depths/"}},
    {"depth run", {"vit22b depth run runs/depth photos/ --out depths/ --range 0.5,10"}},
    {"eval depth",
     {"vit22b eval depth runs/depth --data depth:DIR",
      "vit22b eval depth --predictions DIR --truth KITTI --unit 1/256 --crop garg --max-depth 80",
      "vit22b eval depth --predictions DIR --truth DIR --inverse --align least_squares"}},
    {"eval segmentation",
     {"vit22b eval segmentation runs/head",
      "vit22b eval segmentation --predictions DIR --truth DIR --classes 21"}},
    {"eval",
     {"vit22b eval runs/fashion", "vit22b eval CKPT --data folder:DIR --split val --json",
      "vit22b eval --logits F.safetensors"}},
    {"eval calibration",
     {"vit22b eval calibration runs/a --fit val",
      "vit22b eval calibration --logits F.safetensors --fit-part 20%"}},
    {"eval selective", {"vit22b eval selective runs/a"}},
    {"eval ood",
     {"vit22b eval ood runs/a --ood-data folder:DIR --known train",
      "vit22b eval ood --logits F.safetensors --ood-logits G.safetensors"}},
    {"eval robustness",
     {"vit22b eval robustness runs/a --json >a.json",
      "vit22b eval robustness CKPT --data SRC --corruptions noise,fog --reference a.json",
      "vit22b eval robustness CKPT --data imagenet/val --set a=imagenet-a --set r=imagenet-r"}},
    {"eval fairness",
     {"vit22b eval fairness --table F.csv --label smiling --score score --group gender"}},
    {"eval human",
     {"vit22b eval human --csv raw-data/",
      "vit22b eval human CKPT --stimuli datasets/ --csv raw-data/ --write-csv raw-data/"}},
    {"eval perceptual", {"vit22b eval perceptual CKPT --data 2afc/val"}},
    {"predict",
     {"vit22b predict runs/pets cat.jpg photos/",
      "ls *.jpg | vit22b predict CKPT --list - --json"}},
    {"features",
     {"vit22b features CKPT photos/ --only pooled --out features.safetensors",
      "vit22b features CKPT --data folder:DIR --only pooled --out shards/",
      "vit22b features 22b14 photos/ --weights generated --out features.safetensors"}},
    {"probe",
     {"vit22b probe CKPT --train folder:DIR",
      "vit22b probe --train a.safetensors --test b.safetensors --c 1"}},
    {"fewshot", {"vit22b fewshot CKPT --train folder:DIR --shots 1,5,10,25"}},
    {"knn", {"vit22b knn CKPT --train folder:DIR --k 10,20"}},
    {"zeroshot",
     {"vit22b zeroshot RUN --data folder:DIR --classes names.txt --templates templates.txt"}},
    {"retrieve",
     {"vit22b retrieve RUN --data captions.csv",
      "vit22b retrieve RUN --data folder:DIR --query \"a red flower\""}},
    {"compare", {"vit22b compare a.safetensors --against b.safetensors"}},
    {"model list", {"vit22b model list"}},
    {"model show", {"vit22b model show 22b14", "vit22b model show b16 depth=6 --json"}},
    {"model inspect",
     {"vit22b model inspect CKPT", "vit22b model inspect vit.pth num_heads=12 --json"}},
    {"model diff",
     {"vit22b model diff runs/a runs/b", "vit22b model diff facebook/ timm.safetensors --json"}},
    {"model stats", {"vit22b model stats CKPT", "vit22b model stats CKPT --images photos/ --json"}},
    {"model init", {"vit22b model init b16 num_classes=10 --out fresh"}},
    {"convert",
     {"vit22b convert runs/adapted merged", "vit22b convert CKPT OUT --to timm --dtype bf16",
      "vit22b convert CKPT model.onnx --to onnx"}},
    {"explain",
     {"vit22b explain CKPT photos/ --method attention --out pictures/",
      "vit22b explain CKPT photos/ --method pca --out pictures/",
      "vit22b explain CKPT cat.jpg --method attention --block 3 --show"}},
    {"plan", {"vit22b plan 22b14 mode=train device=h200 update=now weights=bf16"}},
    {"report",
     {"vit22b report runs/fashion", "vit22b report runs/a runs/b --out ab.html",
      "vit22b report calibration.json robustness.json --out measures.html"}},
    {"bench corruptions", {"vit22b bench corruptions --threads 1"}},
    {"bench model", {"vit22b bench model b16 --batch 16 --precision bf16 --mode train"}},
    {"config show", {"vit22b config show configs/train/fashion_mnist.toml optim.lr=1e-3"}},
    {"config check", {"vit22b config check my.toml"}},
    {"completion",
     {"vit22b completion bash >~/.local/share/bash-completion/completions/vit22b",
      "vit22b completion man | man -l -"}},
    {"env", {"vit22b env --device cuda"}},
};

class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App* app, std::string name) const override {
    std::string text;
    for (const std::string& line : examples_of(command_path(*app)))
      text += concat("  ", line, "\n");
    if (!text.empty()) text = concat("Examples:\n", text, "\n");
    return text + CLI::Formatter::make_usage(app, std::move(name));
  }

  // Without ranges: what breaks one is told it, and an option stays on one line.
  std::string make_option_opts(const CLI::Option* option) const override {
    std::string text = CLI::Formatter::make_option_opts(option);
    for (const std::string range : {":INT in [", ":FLOAT in ["})
      if (const size_t first = text.find(range); first != std::string::npos)
        text.erase(first, text.find(']', first) + 1 - first);
    if (const size_t first = text.find(":POSITIVE"); first != std::string::npos)
      text.erase(first, std::string_view(":POSITIVE").size());
    return text;
  }
};

}  // namespace

std::string command_path(const CLI::App& command) {
  std::vector<std::string> words;
  for (const CLI::App* app = &command; app->get_parent() != nullptr; app = app->get_parent())
    words.insert(words.begin(), app->get_name());
  return join(words, " ");
}

std::vector<std::string> examples_of(const std::string& path) {
  std::vector<std::string> lines;
  for (const Examples& examples : kExamples)
    if (path == examples.command)
      for (const char* line : examples.lines)
        if (line != nullptr) lines.emplace_back(line);
  return lines;
}

std::string usage_hint(const CLI::App& app) {
  const CLI::App* command = &app;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
  if (command == &app) return "see vit22b --help";
  const std::string name = "vit22b " + command_path(*command);
  std::string usage = trim(CLI::Formatter().make_usage(command, name));
  usage.front() = 'u';  // in the middle of a line
  return concat(usage, "; see ", name, " --help");
}

std::shared_ptr<CLI::FormatterBase> make_help_formatter() {
  auto formatter = std::make_shared<HelpFormatter>();
  formatter->column_width(34);
  return formatter;
}

std::vector<const CLI::App*> leaf_commands(const CLI::App& app) {
  std::vector<const CLI::App*> leaves;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    const auto below = leaf_commands(*command);
    const bool has_arguments =
        !command->get_options([](const CLI::Option* o) { return o->get_positional(); }).empty();
    if (below.empty() || has_arguments) leaves.push_back(command);
    leaves.insert(leaves.end(), below.begin(), below.end());
  }
  return leaves;
}

}  // namespace vit22b
