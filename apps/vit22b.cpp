#include "cli/command.h"

int main(int argc, char** argv) {
  return vit22b::run_command_line(argc, argv);
}
