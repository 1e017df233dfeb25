#include "train/tasks/distill.h"

#include "core/error.h"
#include "core/log.h"
#include "core/range.h"
#include "data/pixel_range.h"
#include "eval/feature_source.h"
#include "eval/label_map.h"
#include "eval/load_predictor.h"
#include "train/features_once.h"
#include "train/tasks/tasks.h"

namespace vit22b {
namespace {

/// Which of a teacher's classes the student's are, in their order: by name where all have names.
at::Tensor teacher_columns(const NamedModel& teacher, const TrainConfig& config,
                           const std::string& class_map, const std::string& path) {
  const std::vector<std::string>& names = config.data.label_names;
  const KnownClasses known{teacher.info.config.num_classes, teacher.info.label_names, teacher.wnids,
                           concat("teacher ", path),
                           "; distill.class_map=FILE says which class is which"};
  const auto count = static_cast<size_t>(config.model.num_classes);
  DataClasses own{names, std::vector<bool>(count, true), config.data.root};
  if (names.size() != count) own.names.clear();  // some of the student's have none
  return at::tensor(label_map(own, known, class_map).classes, at::kLong);
}

/// Trains a student to say what its teachers say of exactly the images that it sees: "a good
/// teacher is patient and consistent" (Beyer et al. 2022).
///
/// loss = T^2 KL(mean of the teachers' softmax(z / T) || softmax(student / T)), plus, where it is
/// asked for, feature_weight (1 - cosine) of the pooled features.
class Distill : public Task {
 public:
  explicit Distill(const DistillConfig& options) : options_(options) {}

  void prepare(const TrainConfig& config, const Device& device) override {
    for (const std::string& path : options_.teachers) {
      LoadedModel teacher = load_predictor(path, {.device = device,
                                                  .precision = config.precision,
                                                  .engine = config.engine,
                                                  .any_size = config.data.any_size});
      check_teacher(teacher, config, path);
      at::Tensor columns = teacher_columns(teacher, config, options_.class_map, path);
      if (options_.logits == "live") {
        check_teachers_view(teacher, config, path);
        teachers_.push_back({std::move(teacher.predictor), range_of(teacher.info.pp_eval, path),
                             std::move(columns)});
      }
      log_info("teacher " + path);
    }
    if (!teachers_.empty()) range_ = range_of(config.data.pp_train, "data.pp_train");
  }

  /// Gives the images their teachers' logits.
  void look_once(const TrainConfig& config, const Device& device, const Mesh& mesh,
                 TrainData& data) const override {
    if (options_.logits != "cached") return;
    std::vector<TaughtTable> tables;
    for (const std::string& teacher : options_.teachers)
      tables.push_back(
          {features_once(config, {teacher, "logits", cache_places(teacher, options_.cache)},
                         *data.train, device, mesh),
           teacher_columns(read_named_model(resolve_checkpoint(teacher)), config,
                           options_.class_map, teacher)});
    data.train = make_taught_source(data.train, std::move(tables), "logits");
  }

  TaskLoss loss(const TowerOutputs& towers, const Batch& batch, const Mesh& mesh) const override {
    const VitOutputs& outputs = towers.main;
    VIT22B_CHECK(mesh.size(MeshAxis::kModel) == 1, "distill: not on a model axis");
    const double t = options_.temperature;
    at::Tensor features_BD;
    const at::Tensor said_BNC = teachers_say(batch, features_BD);
    const at::Tensor wanted_BC = at::softmax(said_BNC / t, 2).mean(1);
    const at::Tensor logs_BC = at::log_softmax(outputs.logits_BC.to(at::kFloat) / t, 1);
    const auto images = static_cast<double>(logs_BC.size(0));
    const at::Tensor own = at::xlogy(wanted_BC, wanted_BC) - wanted_BC * logs_BC;
    TaskLoss result{own.sum() * (t * t / images),
                    {.logits_BC = (logs_BC.exp() - wanted_BC) * (t / images)}};
    if (options_.feature_weight > 0) add_features(outputs.pooled_BD, features_BD, result);
    return result;
  }

  std::vector<Metric> metrics() const override { return classification_metrics(); }

  std::map<std::string, double> validate(const TowerPredictors& towers, const DataSource& source,
                                         const Transforms& transforms,
                                         const Validation& validation) const override {
    return classification_values(towers.main, source, transforms, validation);
  }

 private:
  /// Every teacher's logits, float32; the last one's features.
  at::Tensor teachers_say(const Batch& batch, at::Tensor& features_BD) const {
    if (const auto cached = batch.fields.find(kTeacherLogits); cached != batch.fields.end())
      return cached->second;
    std::vector<at::Tensor> logits;
    for (const Teacher& teacher : teachers_) {
      const VitOutputs said =
          teacher.predictor->features(in_range(batch.images_BCHW(), range_, teacher.range), {});
      logits.push_back(said.logits_BC.to(at::kFloat)
                           .index_select(1, teacher.columns.to(said.logits_BC.device())));
      features_BD = said.pooled_BD;
    }
    return at::stack(logits, 1);
  }

  static PixelRange range_of(const std::string& transform, const std::string& place) {
    if (const auto range = pixel_range(transform)) return *range;
    throw UsageError(place, ": the transform ", transform,
                     " has neither value_range nor normalize, so a teacher's pixels cannot be made "
                     "of the student's; use distill.logits=cached");
  }

  /// A live teacher sees the student's own crops.
  static void check_teachers_view(const LoadedModel& teacher, const TrainConfig& config,
                                  const std::string& path) {
    const ImageSize &theirs = teacher.info.config.img_size, &ours = config.model.img_size;
    if (!config.data.any_size && (theirs.height != ours.height || theirs.width != ours.width))
      throw UsageError("teacher ", path, " is for images of ", theirs.height, " x ", theirs.width,
                       " pixels, the student for ", ours.height, " x ", ours.width,
                       "; set model.img_size, data.any_size=true to resample the teacher's "
                       "positions, or distill.logits=cached");
  }

  void check_teacher(const LoadedModel& teacher, const TrainConfig& config,
                     const std::string& path) const {
    const ViTConfig& model = teacher.info.config;
    if (model.num_classes == 0) throw CheckpointError("teacher ", path, " has no classifier");
    if (model.in_chans != config.model.in_chans)
      throw UsageError("teacher ", path, " sees ", model.in_chans, " channels, the student ",
                       config.model.in_chans, "; they see the same images: set model.in_chans");
    if (options_.feature_weight > 0 && model.embed_dim != config.model.embed_dim)
      throw UsageError("teacher ", path, " has features of width ", model.embed_dim,
                       ", the student ", config.model.embed_dim,
                       "; distill.feature_weight wants equal ones");
  }

  /// Adds the mean of 1 - cosine of the pooled features and its gradient.
  void add_features(const at::Tensor& student_BD, const at::Tensor& teacher_BD,
                    TaskLoss& result) const {
    const at::AutoGradMode grad(true);
    const at::Tensor x = student_BD.detach().to(at::kFloat).requires_grad_();
    const at::Tensor gap = options_.feature_weight *
                           (1 - at::cosine_similarity(x, teacher_BD.to(at::kFloat), 1)).mean();
    gap.backward();
    result.loss = result.loss + gap.detach();
    result.gradients.pooled_BD = x.grad().to(student_BD.scalar_type());
  }

  /// What a teacher says, of pixels of which range, and in which columns of the student's classes.
  struct Teacher {
    std::unique_ptr<Predictor> predictor;
    PixelRange range;
    at::Tensor columns;
  };

  DistillConfig options_;
  std::vector<Teacher> teachers_;
  PixelRange range_;  ///< of the student's images
};

}  // namespace

std::unique_ptr<TaskOptions> DistillConfig::copy() const {
  return std::make_unique<DistillConfig>(*this);
}

std::unique_ptr<Task> DistillConfig::make() const {
  return std::make_unique<Distill>(*this);
}

void DistillConfig::fields(FieldVisitor& v) {
  v.field("teachers", teachers, "task=distill: checkpoints; of several the mean is learnt");
  v.field("temperature", temperature, "of both softmaxes; the loss is multiplied by its square");
  v.field("feature_weight", feature_weight, "adds so much of 1 - cosine of the pooled features");
  v.choice("logits", logits, "live|cached",
           "of exactly the student's images in every step, or of the plain ones through the "
           "teacher's own transform, once");
  v.field("cache", cache, "folder of cached logits; each teacher's cache/ where empty");
  v.field("class_map", class_map,
          "file that says which of the teachers' classes the data's are, as data.class_map");
}

void DistillConfig::check(const TrainConfig& c) const {
  if (teachers.empty())
    throw UsageError(
        "task=distill: name the checkpoints to learn from, distill.teachers=[\"RUN\"]");
  check_range("distill.temperature", temperature, Range::positive());
  check_range("distill.feature_weight", feature_weight, Range::from_zero());
  if (c.mesh.model > 1) throw UsageError("task=distill: use mesh.model=1");
  if (logits == "cached" && (c.data.mixup > 0 || feature_weight > 0))
    throw UsageError(
        "distill.logits=cached keeps what teachers say of plain images; use live with ",
        c.data.mixup > 0 ? "data.mixup" : "distill.feature_weight");
}

std::string DistillConfig::set_in_vain() const {
  if (!teachers.empty()) return "distill.teachers";
  return class_map.empty() ? "" : "distill.class_map";
}

std::vector<TaskPlace> DistillConfig::places() {
  TaskPlace of_teachers{"distill.teachers", {}, TaskPlace::Kind::kCheckpoint, /*is_list=*/true};
  for (std::string& teacher : teachers) of_teachers.values.push_back(&teacher);
  return {of_teachers, {"distill.cache", {&cache}, TaskPlace::Kind::kCache}};
}

OtherModels DistillConfig::other_models(TrainConfig&) const {
  OtherModels others;
  for (const std::string& teacher : teachers)
    (logits == "live" ? others.looking : others.looked_once).push_back(config_at(teacher));
  return others;
}

std::unique_ptr<TaskOptions> distill_options() {
  return std::make_unique<DistillConfig>();
}

}  // namespace vit22b
