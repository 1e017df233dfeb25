#pragma once
#include <string>

namespace vit22b {

/// Who else sees a module's symbols: nobody, or every library of the process (MPI's own plugins
/// look for MPI there).
enum class ModuleScope { kOwn, kProcess };

/// A symbol of one of the program's modules, which lie beside the program or libvit22b.so (a build)
/// or in ../lib (an installation) and are loaded at the first call.
///
/// file     such as "libvit22b_mpi.so"
/// returns  null where the module or the symbol is missing; `reason` then says why
void* module_symbol(const char* file, const char* symbol, ModuleScope scope, std::string& reason);

}  // namespace vit22b
