#pragma once

namespace vit22b {

/// Asks for a stop on TERM, USR1, USR2, INT and, unless it is ignored as under nohup, HUP. A second
/// TERM or INT ends the process at once; so does the time: 30 s after the signal whatever has
/// nothing to save (see SavesFirst) ends by it, wherever it is.
///
/// A signal within 0.2 s of the same one is the same request: timeout(1) sends each twice. A pipe
/// whose reader has gone is an error of the write, so that no run dies of a log nobody reads.
void install_stop_signals();

/// The number of the signal that asked for a stop, or 0. Read it once a step.
int stop_signal();

/// "SIGTERM" and so on.
const char* signal_name(int signal);

/// While one lives, this process has something to save: a first signal leaves it the time it takes.
class SavesFirst {
 public:
  SavesFirst();
  ~SavesFirst();
  SavesFirst(const SavesFirst&) = delete;
  SavesFirst& operator=(const SavesFirst&) = delete;
};

}  // namespace vit22b
