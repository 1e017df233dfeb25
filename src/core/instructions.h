#pragma once
#include <string>

namespace vit22b {

/// Which of its CPU's instructions this process uses, each with those before it: all that there
/// are, unless it is told to do with fewer, as another CPU has them.
enum class Instructions { kAvx2, kAvx512, kAvx512Bf16, kAmx };

/// "avx2", "avx512", "avx512_bf16" or "amx".
///
/// throws  UsageError naming them
Instructions parse_instructions(const std::string& text);

/// Uses none beyond these, here and in libtorch. Before any kernel has run: what was chosen stays.
void limit_instructions(Instructions most);

/// Whether they may be used, if the CPU has them.
bool may_use(Instructions wanted);

}  // namespace vit22b
