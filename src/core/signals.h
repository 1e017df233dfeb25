#pragma once

namespace vit22b {

/// Asks for a stop on TERM, USR1, USR2 and the first INT; a second INT ends the process at once. A
/// pipe whose reader has gone is an error of the write, so that no run dies of a log nobody reads.
void install_stop_signals();

/// The number of the signal that asked for a stop, or 0. Read it once a step.
int stop_signal();

/// "SIGTERM" and so on.
const char* signal_name(int signal);

}  // namespace vit22b
