#include "cli/result_output.h"

#include "core/file.h"

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

}  // namespace vit22b
