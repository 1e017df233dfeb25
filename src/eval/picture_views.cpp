#include "eval/picture_views.h"

#include "core/error.h"
#include "core/log.h"

namespace vit22b {

std::vector<at::Tensor> each_of(const Batch& batch, const std::string& name) {
  if (const auto field = batch.fields.find(name); field != batch.fields.end())
    return field->second.unbind(0);
  const auto ragged = batch.ragged.find(name);
  return ragged == batch.ragged.end() ? std::vector<at::Tensor>() : ragged->second;
}

std::vector<ViewScores> views_of(
    const Batch& batch, const std::function<std::vector<ViewScores>(const at::Tensor&)>& views) {
  if (const at::Tensor images = batch.images_BCHW(); images.defined()) return views(images);
  std::vector<ViewScores> all;
  for (const at::Tensor& image_CHW : each_of(batch, kImageField))
    all.push_back(std::move(views(image_CHW.unsqueeze(0)).front()));
  return all;
}

int64_t passes_of(const Batch& batch, const std::function<int64_t(int64_t, int64_t)>& passes) {
  if (const at::Tensor images = batch.images_BCHW(); images.defined())
    return passes(images.size(2), images.size(3));
  int64_t all = 0;
  for (const at::Tensor& image_CHW : each_of(batch, kImageField))
    all += passes(image_CHW.size(1), image_CHW.size(2));
  return all;
}

void check_sizes(const at::Tensor& predicted_HW, const at::Tensor& truth_HW, const std::string& id,
                 const char* truth) {
  if (predicted_HW.sizes() == truth_HW.sizes()) return;
  throw DataError(id, " has ", predicted_HW.size(0), " x ", predicted_HW.size(1), " pixels, its ",
                  truth, " ", truth_HW.size(0), " x ", truth_HW.size(1),
                  "; both have to be of one size");
}

bool warn_of_cut(const Geometry& geometry, const ViewScores& view, const std::string& id) {
  constexpr double kWhole = 0.999;
  const double shown = shown_share(geometry, view.rows, view.columns);
  if (shown >= kWhole) return false;
  log_warn(concat("the transform shows ", formatted("%.0f %%", 100 * shown), " of ", id,
                  "; the rest has what is said of the view's edge"));
  return true;
}

}  // namespace vit22b
