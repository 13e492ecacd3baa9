#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// libpng behind three pure functions. libpng reports failure by longjmp, over which Swift must not be
// jumped: each function arms setjmp, does all of its work, frees everything and returns.

typedef enum {
  cpng_malformed,   // the bytes contradict the format
  cpng_truncated,   // the file ends before its picture does
  cpng_over_limit,  // more pixels than the caller allows
  cpng_no_memory,   // the system refused memory
} cpng_reason;

typedef struct {
  cpng_reason reason;
  char text[200];  // libpng's words or ours
} cpng_failure;

typedef struct {
  uint32_t width, height;
  bool has_alpha;  // an alpha channel, or transparency of a palette or a gray level
} cpng_header;

// Reads everything in front of the pixels and checks it against `most_pixels`, width × height.
bool cpng_read_header(
  const uint8_t *bytes, size_t count, uint64_t most_pixels, cpng_header *header,
  cpng_failure *failure);

// Decodes into `rgba`, 4 × width × height bytes as the header says. 16-bit samples keep their high
// byte, fewer bits are scaled, palettes are looked up, gray is repeated. The fourth byte is the
// alpha value; 255 where the picture has none. No checksum counts, nor does a zlib header that claims a
// window too small, nor what follows the last row. `partial_rows`: of a cut or damaged file the rows
// that are there; the others have samples of 0. `color_key`: the one transparent color that an RGB
// picture may name has alpha 0, else it has 255.
bool cpng_decode(
  const uint8_t *bytes, size_t count, uint64_t most_pixels, bool partial_rows, bool color_key,
  uint8_t *rgba, size_t capacity, cpng_failure *failure);

// Receives a piece of an encoded file; false stops the encoding.
typedef bool (*cpng_write)(void *sink, const uint8_t *bytes, size_t count);

// Encodes 8-bit RGB, 3 × width × height bytes. The same pixels always give the same bytes.
bool cpng_encode(
  const uint8_t *rgb, uint32_t width, uint32_t height, cpng_write write, void *sink,
  cpng_failure *failure);
