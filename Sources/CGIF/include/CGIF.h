#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// giflib behind two pure functions, which free everything before they return. Only the first frame is read.

typedef enum {
  cgif_malformed,   // the bytes contradict the format
  cgif_truncated,   // the file ends before its first frame does
  cgif_over_limit,  // more pixels than the caller allows
  cgif_no_memory,   // the system refused memory
} cgif_reason;

typedef struct {
  cgif_reason reason;
  char text[200];
} cgif_failure;

typedef struct {
  uint32_t width, height;  // of the screen, or of what the first frame makes of it where it reaches beyond
  bool has_alpha;          // a color of the first frame is transparent
} cgif_header;

// Reads everything in front of the pixels and checks it against `most_pixels`, width × height.
bool cgif_read_header(
  const uint8_t *bytes, size_t count, uint64_t most_pixels, cgif_header *header, cgif_failure *failure);

// Decodes the first frame into `rgba`, 4 × width × height bytes as the header says. What it leaves of the
// screen has its transparent color, or the first one. The fourth byte is 0 for the transparent color, else
// 255. `partial_rows`: of a cut or damaged file the pixels that are there.
bool cgif_decode(
  const uint8_t *bytes, size_t count, uint64_t most_pixels, bool partial_rows, uint8_t *rgba,
  size_t capacity, cgif_failure *failure);
