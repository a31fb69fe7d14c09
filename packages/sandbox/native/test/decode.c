/*
 * Feeds plans to the decoder, many in one process: reads frames of { u32 length, bytes } and writes one line for each,
 * `ok` or why it was refused. Built with sanitizers by the tests; whatever the bytes, it must not crash.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../src/plan.h"

int main(void) {
  uint32_t length;
  while (fread(&length, sizeof length, 1, stdin) == 1) {
    char *bytes = malloc((size_t)length + 1);
    int file = memfd_create("plan", 0);
    if (!bytes || file < 0 || fread(bytes, 1, length, stdin) != length) return 1;
    if (write(file, bytes, length) != (ssize_t)length || lseek(file, 0, SEEK_SET)) return 1;
    struct plan plan;
    const char *problem = plan_read(file, &plan);
    puts(problem ? problem : "ok");
    free(bytes);
    free(plan.bytes);
    close(file);
  }
  return 0;
}
