#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// libwebp behind two pure functions, which free everything before they return.

typedef enum {
  cwebp_malformed,   // the bytes contradict the format
  cwebp_truncated,   // the file ends before its pictures do
  cwebp_over_limit,  // more pixels than the caller allows
  cwebp_no_memory,   // the system refused memory
} cwebp_reason;

typedef struct {
  cwebp_reason reason;
  char text[200];
} cwebp_failure;

// A part of the file.
typedef struct {
  size_t offset, count;  // no bytes where there is no such part
} cwebp_part;

typedef struct {
  uint32_t width, height;  // of the canvas
  bool has_alpha;
  cwebp_part exif, xmp;    // as their chunks hold them
} cwebp_header;

// Reads what the file says beside its pixels and checks it against `most_pixels`, width × height.
// `file_count` is the size of a file of which `count` bytes are there: metadata stand at its end, and
// where the head says that there are some all of it is needed (`cwebp_truncated`).
bool cwebp_read_header(
  const uint8_t *bytes, size_t count, size_t file_count, uint64_t most_pixels, cwebp_header *header,
  cwebp_failure *failure);

// Decodes the picture, of an animation the first frame, into `rgba`, 4 × width × height bytes as the
// header says. What a frame leaves of its canvas is 0. The fourth byte is the alpha value; 255 where the
// picture has none.
bool cwebp_decode(
  const uint8_t *bytes, size_t count, uint64_t most_pixels, uint8_t *rgba, size_t capacity,
  cwebp_failure *failure);
