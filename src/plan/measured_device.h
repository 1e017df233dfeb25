#pragma once
#include <string>

#include "core/device_spec.h"

namespace vit22b {

/// This machine: its memory, and the rates that it reaches now (a second or two). Its disk's, of
/// the folder that the command is given in, only where wanted and possible.
DeviceSpec measured_device(const std::string& precision, bool is_disk_wanted);

}  // namespace vit22b
