/*
 * openshell-init: carries out a launch plan. It reads no policy and makes no choices; see src/plan.ts for what a plan
 * says and why.
 *
 *   openshell-init run PARENT    plan and commands on descriptor 3, Node's IPC channel on 4
 *   openshell-init probe         prints what this kernel has, as JSON
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch.h"

int main(int argc, char **argv) {
  if (argc == 3 && !strcmp(argv[1], "run")) {
    pid_t supervisor = (pid_t)strtol(argv[2], NULL, 10);
    memset(argv[2], 0, strlen(argv[2])); /* pid 1's command line is seen inside: nothing of the host's in it */
    return outer_main(supervisor);
  }
  if (argc == 2 && !strcmp(argv[1], "probe")) return probe();
  fprintf(stderr, "usage: openshell-init run PARENT | probe\n");
  return EXIT_REFUSED;
}
