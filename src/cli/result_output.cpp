#include "cli/result_output.h"

namespace vit22b {

void tell_result(const CommonFlags& flags, const Result& result,
                 const std::function<void(FileOps&, const std::string& json)>& keep) {
  const std::string json = result_json(result);
  print_and_store(flags.is_json ? json : result_text(result), [&] {
    FileOps ops;
    if (!flags.out.empty()) write_text(ops, flags.out, json);
    if (keep) keep(ops, json);
  });
}

}  // namespace vit22b
