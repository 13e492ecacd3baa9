#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>

#include "CFiles.h"

ssize_t cfiles_copy(int source, int64_t source_offset, int target, int64_t offset, size_t count) {
  off64_t from = source_offset, to = offset;
  return copy_file_range(source, &from, target, &to, count, 0);
}

void cfiles_start_writing(int file, int64_t offset, int64_t count) {
  sync_file_range(file, offset, count, SYNC_FILE_RANGE_WRITE);
}

int cfiles_synchronize_all(int file) { return syncfs(file); }
