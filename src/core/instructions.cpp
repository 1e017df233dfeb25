#include "core/instructions.h"

#include <hwy/targets.h>

#include <atomic>
#include <cstdlib>

#include "core/error.h"

namespace vit22b {
namespace {

std::atomic<Instructions> most_in_use{Instructions::kAmx};

struct Level {
  const char* name;
  Instructions instructions;
  /// For ATen, oneDNN and MKL, which read their variables at their first use; null for no limit.
  const char *aten, *onednn, *mkl;
};
constexpr Level kLevels[] = {
    {"avx2", Instructions::kAvx2, "avx2", "AVX2", "AVX2"},
    {"avx512", Instructions::kAvx512, nullptr, "AVX512_CORE_VNNI", nullptr},
    {"avx512_bf16", Instructions::kAvx512Bf16, nullptr, "AVX512_CORE_BF16", nullptr},
    {"amx", Instructions::kAmx, nullptr, nullptr, nullptr}};

void set_variable(const char* name, const char* value) {
  if (value != nullptr) ::setenv(name, value, /*overwrite=*/1);
}

}  // namespace

Instructions parse_instructions(const std::string& text) {
  std::vector<std::string> names;
  for (const Level& level : kLevels) {
    if (text == level.name) return level.instructions;
    names.emplace_back(level.name);
  }
  throw UsageError("instructions '", text, "': want ", join(names, ", "));
}

void limit_instructions(Instructions most) {
  most_in_use = most;
  for (const Level& level : kLevels)
    if (level.instructions == most) {
      set_variable("ATEN_CPU_CAPABILITY", level.aten);
      set_variable("ONEDNN_MAX_CPU_ISA", level.onednn);
      set_variable("MKL_ENABLE_INSTRUCTIONS", level.mkl);
    }
#if HWY_ARCH_X86
  hwy::DisableTargets(most == Instructions::kAvx2 ? HWY_AVX3 | HWY_AVX3_DL : 0);
  hwy::GetChosenTarget().DeInit();
#endif
}

bool may_use(Instructions wanted) {
  return wanted <= most_in_use;
}

}  // namespace vit22b
