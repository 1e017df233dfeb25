#pragma once
#include <gtest/gtest.h>

#include <string>

#include "core/error.h"
#include "support/files.h"

namespace vit22b::test {

/// A file that is cut anywhere is refused when it is opened; one with a flipped byte is refused or
/// can be used. Any other exception than CheckpointError fails the test.
///
/// open  a file of these bytes
/// use   what `open` gives
template <class Open, class Use>
void expect_damage_is_refused(const std::string& whole, const Open& open, const Use& use) {
  for (size_t cut = 0; cut < whole.size(); ++cut)
    EXPECT_NE(error_of<CheckpointError>([&] { open(whole.substr(0, cut)); }), "(nothing thrown)")
        << cut;
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x55);
    error_of<CheckpointError>([&] { use(open(flipped)); });
  }
}

}  // namespace vit22b::test
