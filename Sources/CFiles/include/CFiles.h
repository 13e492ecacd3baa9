// What Linux offers beyond POSIX for moving whole files; Swift's Glibc does not show it.
#pragma once
#include <stdint.h>
#include <sys/types.h>

// Copies bytes between two open files inside of the kernel. Returns how many, 0 at the end of the
// source, or -1 with errno set; EXDEV, EINVAL, ENOSYS and the like say that these files cannot.
ssize_t cfiles_copy(int source, int64_t source_offset, int target, int64_t offset, size_t count);

// Has the disk start with bytes that were written, so that a later fsync finds them done; a hint without a result.
void cfiles_start_writing(int file, int64_t offset, int64_t count);

// Writes out all of the file system that holds an open file or folder. 0, or -1 with errno set where anything
// written since it was opened could not be stored.
int cfiles_synchronize_all(int file);
