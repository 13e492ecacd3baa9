#include "CHDF5.h"

#include <stdlib.h>
#include <string.h>

// Datasets whose first axis grows: a row a sample.

hid_t chdf5_create_file(const char *path) {
  return H5Fcreate(path, H5F_ACC_EXCL, H5P_DEFAULT, H5P_DEFAULT);
}

// The type of a row's elements in the file; the caller closes it.
static hid_t row_type(chdf5_rows kind, hid_t element) {
  if (kind == CHDF5_FIXED_ROWS) return H5Tcopy(element);
  if (kind == CHDF5_VARIABLE_ROWS) return H5Tvlen_create(element);
  hid_t text = H5Tcopy(H5T_C_S1);
  if (text >= 0 && (H5Tset_size(text, H5T_VARIABLE) < 0 || H5Tset_cset(text, H5T_CSET_UTF8) < 0)) {
    H5Tclose(text);
    return H5I_INVALID_HID;
  }
  return text;
}

hid_t chdf5_create_rows(
    hid_t file, const char *name, chdf5_rows kind, hid_t element, int rank, const hsize_t *extents,
    hsize_t chunk) {
  hsize_t current[H5S_MAX_RANK] = {0}, most[H5S_MAX_RANK] = {H5S_UNLIMITED}, chunks[H5S_MAX_RANK] = {chunk};
  if (rank < 0 || rank >= H5S_MAX_RANK) return H5I_INVALID_HID;
  for (int axis = 0; axis < rank; axis++) {
    current[axis + 1] = most[axis + 1] = chunks[axis + 1] = extents[axis];
  }
  hid_t type = row_type(kind, element);
  hid_t space = H5Screate_simple(rank + 1, current, most);
  hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
  hid_t dataset = H5I_INVALID_HID;
  // No times, so that equal rows give equal bytes.
  if (type >= 0 && space >= 0 && creation >= 0 && H5Pset_chunk(creation, rank + 1, chunks) >= 0 &&
      H5Pset_obj_track_times(creation, false) >= 0) {
    dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
  }
  if (creation >= 0) H5Pclose(creation);
  if (space >= 0) H5Sclose(space);
  if (type >= 0) H5Tclose(type);
  return dataset;
}

// The space in the file of some rows, and one in memory of the same extents.
static bool select_rows(
    hid_t dataset, hsize_t start, hsize_t rows, hid_t *in_file, hid_t *in_memory, hsize_t *elements) {
  hsize_t extents[H5S_MAX_RANK], first[H5S_MAX_RANK] = {start};
  *in_memory = H5I_INVALID_HID;
  *in_file = H5Dget_space(dataset);
  int rank = *in_file < 0 ? -1 : H5Sget_simple_extent_dims(*in_file, extents, NULL);
  if (rank < 1 || extents[0] < start || rows > extents[0] - start) return false;
  extents[0] = rows;
  *elements = 1;
  for (int axis = 0; axis < rank; axis++) {
    if (extents[axis] > 0 && *elements > SIZE_MAX / 64 / extents[axis]) return false;
    *elements *= extents[axis];
  }
  *in_memory = H5Screate_simple(rank, extents, NULL);
  return *in_memory >= 0 &&
         H5Sselect_hyperslab(*in_file, H5S_SELECT_SET, first, NULL, extents, NULL) >= 0;
}

static void close_spaces(hid_t in_file, hid_t in_memory) {
  if (in_file >= 0) H5Sclose(in_file);
  if (in_memory >= 0) H5Sclose(in_memory);
}

static bool grow(hid_t dataset, hsize_t rows) {
  hsize_t extents[H5S_MAX_RANK];
  hid_t space = H5Dget_space(dataset);
  if (space < 0) return false;
  int rank = H5Sget_simple_extent_dims(space, extents, NULL);
  H5Sclose(space);
  if (rank < 1) return false;
  extents[0] = rows;
  return H5Dset_extent(dataset, extents) >= 0;
}

bool chdf5_append_rows(
    hid_t dataset, chdf5_rows kind, hid_t element, hsize_t start, hsize_t rows, const uint8_t *data,
    const size_t *sizes) {
  if (rows == 0) return true;
  if (!grow(dataset, start + rows)) return false;
  hid_t in_file, in_memory;
  hsize_t elements = 0;
  bool is_written = false;
  hid_t type = row_type(kind, element);
  hvl_t *lists = NULL;
  const char **texts = NULL;
  if (type >= 0 && select_rows(dataset, start, rows, &in_file, &in_memory, &elements)) {
    const void *source = data;
    if (kind == CHDF5_VARIABLE_ROWS && (lists = calloc(rows, sizeof(hvl_t)))) {
      size_t width = H5Tget_size(element), offset = 0;
      for (hsize_t row = 0; row < rows; row++) {
        lists[row].len = sizes[row] / width;
        lists[row].p = (void *)(uintptr_t)(data + offset);
        offset += sizes[row];
      }
      source = lists;
    }
    if (kind == CHDF5_TEXT_ROWS && (texts = calloc(rows, sizeof(char *)))) {
      size_t offset = 0;
      for (hsize_t row = 0; row < rows; row++) {
        texts[row] = (const char *)data + offset;
        offset += sizes[row];
      }
      source = texts;
    }
    bool is_ready = kind == CHDF5_FIXED_ROWS || lists || texts;
    is_written = is_ready && H5Dwrite(dataset, type, in_memory, in_file, H5P_DEFAULT, source) >= 0;
    close_spaces(in_file, in_memory);
  }
  free(lists);
  free((void *)texts);
  if (type >= 0) H5Tclose(type);
  return is_written;
}

// Hands over what was read into `buffer`, a row at a time.
static bool visit_rows(
    chdf5_rows kind, hsize_t rows, size_t row_bytes, size_t width, const uint8_t *buffer, void *context,
    chdf5_visitor visitor) {
  for (hsize_t row = 0; row < rows; row++) {
    const char *bytes = (const char *)buffer + row * row_bytes;
    size_t count = row_bytes;
    if (kind == CHDF5_VARIABLE_ROWS) {
      const hvl_t *list = (const hvl_t *)(const void *)buffer + row;
      bytes = list->p;
      count = list->len * width;
    } else if (kind == CHDF5_TEXT_ROWS) {
      bytes = ((char *const *)(const void *)buffer)[row];
      count = bytes ? strlen(bytes) : 0;
    }
    if (!visitor(context, bytes, count, CHDF5_HARD_LINK)) return false;
  }
  return true;
}

// MARK: What rows claim

// A row of a list or text in the file: how many elements, and where in which heap they lie.
enum { reference_bytes = 16 };

// The bytes that the lists or texts of some rows claim, out of the chunks as they are stored: the library
// makes room for each list before it looks whether the file has it.
static chdf5_outcome claimed_bytes(
    hid_t dataset, hsize_t start, hsize_t rows, size_t width, uint64_t most, uint64_t *sum) {
  hid_t creation = H5Dget_create_plist(dataset);
  if (creation < 0) return CHDF5_NOT_READ;
  hsize_t chunk = 0;
  bool is_ours = H5Pget_layout(creation) == H5D_CHUNKED && H5Pget_chunk(creation, 1, &chunk) == 1 &&
                 H5Pget_nfilters(creation) == 0 && chunk > 0 && chunk <= (1 << 20);
  H5Pclose(creation);
  if (!is_ours) return CHDF5_NOT_OURS;
  uint8_t *stored = malloc((size_t)chunk * reference_bytes);
  if (stored == NULL) return CHDF5_NOT_READ;
  chdf5_outcome outcome = CHDF5_READ;
  *sum = 0;
  for (hsize_t row = start; outcome == CHDF5_READ && row < start + rows;) {
    hsize_t first = row / chunk * chunk, end = first + chunk, size = 0;
    uint32_t mask = 0;
    if (end > start + rows) end = start + rows;
    if (H5Dget_chunk_storage_size(dataset, &first, &size) < 0) {
      outcome = CHDF5_NOT_READ;
    } else if (size == 0) {
      row = end;  // never written: empty
    } else if (size != chunk * reference_bytes) {
      outcome = CHDF5_NOT_OURS;
    } else if (H5Dread_chunk(dataset, H5P_DEFAULT, &first, &mask, stored) < 0) {
      outcome = CHDF5_NOT_READ;
    }
    for (; outcome == CHDF5_READ && row < end; row++) {
      const uint8_t *length = stored + (row - first) * reference_bytes;
      uint32_t elements = length[0] | length[1] << 8 | length[2] << 16 | (uint32_t)length[3] << 24;
      *sum += (uint64_t)elements * width;
      if (*sum > most) outcome = CHDF5_TOO_LARGE;
    }
  }
  free(stored);
  return outcome;
}

chdf5_outcome chdf5_read_rows(
    hid_t dataset, chdf5_rows kind, hid_t element, hsize_t start, hsize_t rows, uint64_t *left,
    void *context, chdf5_visitor visitor) {
  hid_t in_file = H5I_INVALID_HID, in_memory = H5I_INVALID_HID;
  hsize_t elements = 0;
  chdf5_outcome outcome = CHDF5_NOT_READ;
  hid_t type = row_type(kind, element);
  if (type >= 0 && rows > 0 && select_rows(dataset, start, rows, &in_file, &in_memory, &elements)) {
    size_t width = kind == CHDF5_TEXT_ROWS ? 1 : H5Tget_size(element);
    size_t size = H5Tget_size(type);
    uint64_t claimed = 0;
    if (kind != CHDF5_FIXED_ROWS) {
      outcome = elements != rows
                    ? CHDF5_NOT_OURS
                    : claimed_bytes(dataset, start, rows, width, *left, &claimed);
    } else {
      outcome = elements <= *left / size ? CHDF5_READ : CHDF5_TOO_LARGE;
      claimed = elements * size;
    }
    uint8_t *buffer = outcome == CHDF5_READ ? calloc(elements + 1, size) : NULL;
    if (buffer) {
      *left -= claimed;
      bool is_read = H5Dread(dataset, type, in_memory, in_file, H5P_DEFAULT, buffer) >= 0;
      if (is_read) {
        size_t row_bytes = (size_t)(elements / rows) * size;
        is_read = visit_rows(kind, rows, row_bytes, width, buffer, context, visitor);
        if (kind != CHDF5_FIXED_ROWS) H5Dvlen_reclaim(type, in_memory, H5P_DEFAULT, buffer);
      }
      if (!is_read) outcome = CHDF5_NOT_READ;
      free(buffer);
    } else if (outcome == CHDF5_READ) {
      outcome = CHDF5_NOT_READ;
    }
  }
  close_spaces(in_file, in_memory);
  if (type >= 0) H5Tclose(type);
  return outcome;
}
