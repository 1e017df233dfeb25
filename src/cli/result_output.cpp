#include "cli/result_output.h"

#include "core/file.h"
#include "core/log.h"
#include "core/text.h"

namespace vit22b {

void tell_result(const CommonFlags& flags, const Result& result,
                 const std::function<void(const std::string& json)>& also) {
  const std::string json = result_json(result);
  print_and_store(flags.is_json ? json : result_text(result), [&] {
    FileOps ops;
    if (!flags.out.empty()) write_text(ops, flags.out, json);
    also(json);
  });
}

bool keep_in_run(const std::filesystem::path& run, const std::string& file,
                 const std::string& json) {
  const std::filesystem::path results = run / "results";
  if (!can_write_in(results)) {
    log_warn(concat("the result is not kept in ", results.string(),
                    ", which cannot be written; --out FILE keeps it"));
    return false;
  }
  FileOps ops;
  ops.make_folder(results);
  write_text(ops, results / file, json);
  return true;
}

}  // namespace vit22b
