// A virtual file driver that shows libhdf5 one region of an open descriptor: a whole file, or a
// member inside a .keras archive, which then need not be unpacked.
#define _GNU_SOURCE
#include "CHDF5.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

typedef struct {
  const unsigned char *memory;  // NULL where the bytes are in a file
  int descriptor;
  uint64_t start;
  uint64_t length;
} region;

typedef struct {
  H5FD_t base;  // must be first: libhdf5 sees only this
  region region;
  haddr_t end_of_allocation;
} region_file;

// The library counts objects, not addresses: each opening is a file of its own.
static const haddr_t maximum_address = ((haddr_t)1 << 62) - 1;
static hid_t driver = H5I_INVALID_HID;

static herr_t forget_driver(void) {
  driver = H5I_INVALID_HID;
  return 0;
}

static H5FD_t *open_region(const char *name, unsigned flags, hid_t access, haddr_t maximum) {
  (void)name;
  (void)maximum;
  const region *wanted = H5Pget_driver_info(access);
  if (wanted == NULL || (flags & H5F_ACC_RDWR) != 0) return NULL;
  region_file *file = calloc(1, sizeof *file);
  if (file == NULL) return NULL;
  file->region = *wanted;
  return &file->base;
}

static herr_t close_region(H5FD_t *file) {
  free(file);
  return 0;
}

static int compare_regions(const H5FD_t *a, const H5FD_t *b) {
  // Equal would make the library share one cache between two openings.
  return a == b ? 0 : (uintptr_t)a < (uintptr_t)b ? -1 : 1;
}

static herr_t query_region(const H5FD_t *file, unsigned long *flags) {
  (void)file;
  *flags = H5FD_FEAT_DATA_SIEVE;
  return 0;
}

static haddr_t end_of_allocation(const H5FD_t *file, H5FD_mem_t type) {
  (void)type;
  return ((const region_file *)file)->end_of_allocation;
}

static herr_t set_end_of_allocation(H5FD_t *file, H5FD_mem_t type, haddr_t address) {
  (void)type;
  ((region_file *)file)->end_of_allocation = address;
  return 0;
}

static haddr_t end_of_file(const H5FD_t *file, H5FD_mem_t type) {
  (void)type;
  return ((const region_file *)file)->region.length;
}

static herr_t read_region(
    H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t size, void *buffer) {
  (void)type;
  (void)transfer;
  const region *from = &((const region_file *)file)->region;
  if (address == HADDR_UNDEF || address > from->length || size > from->length - address) return -1;
  unsigned char *next = buffer;
  uint64_t offset = from->start + address;
  if (from->memory != NULL) {
    memcpy(buffer, from->memory + offset, size);
    return 0;
  }
  while (size > 0) {
    ssize_t got = pread(from->descriptor, next, size, (off_t)offset);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return -1;
    next += got;
    offset += (uint64_t)got;
    size -= (size_t)got;
  }
  return 0;
}

static herr_t write_region(
    H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t size,
    const void *buffer) {
  (void)file, (void)type, (void)transfer, (void)address, (void)size, (void)buffer;
  return -1;
}

static const H5FD_class_t driver_class = {
#if H5_VERSION_GE(1, 13, 0)
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)600,  // outside the numbers that the HDF Group hands out
#endif
    .name = "region",
    .maxaddr = ((haddr_t)1 << 62) - 1,
    .fc_degree = H5F_CLOSE_STRONG,
    .terminate = forget_driver,
    .fapl_size = sizeof(region),
    .open = open_region,
    .close = close_region,
    .cmp = compare_regions,
    .query = query_region,
    .get_eoa = end_of_allocation,
    .set_eoa = set_end_of_allocation,
    .get_eof = end_of_file,
    .read = read_region,
    .write = write_region,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

static hid_t open_wanted(region wanted) {
  uint64_t length = wanted.length;
  if (length > maximum_address || wanted.start > maximum_address - length) return H5I_INVALID_HID;
  if (driver < 0) {
    if (H5PLset_loading_state(0) < 0) return H5I_INVALID_HID;
    driver = H5FDregister(&driver_class);
    if (driver < 0) return H5I_INVALID_HID;
  }
  chdf5_watch_file_of(length);
  hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  if (access < 0) return access;
  hid_t file = H5I_INVALID_HID;
  if (H5Pset_driver(access, driver, &wanted) >= 0 &&
      H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) >= 0) {
    file = H5Fopen("checkpoint", H5F_ACC_RDONLY, access);
  }
  chdf5_close_keeping_failure(access);
  return file;
}

hid_t chdf5_open(int descriptor, uint64_t start, uint64_t length) {
  return open_wanted((region){NULL, descriptor, start, length});
}

hid_t chdf5_open_memory(const void *bytes, uint64_t length) {
  return open_wanted((region){bytes, -1, 0, length});
}
