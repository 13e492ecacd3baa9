#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// libjpeg-turbo behind two pure functions. libjpeg reports failure by longjmp and its default handler
// exits the process; Swift can neither call setjmp nor be jumped over. So each function arms setjmp,
// does all of its work, frees everything and returns: no decoder handle ever leaves this target.

typedef enum {
  cjpeg_malformed,    // the bytes contradict the format
  cjpeg_truncated,    // the file ends before its picture does
  cjpeg_unsupported,  // a process that libjpeg-turbo or an RGB picture cannot hold
  cjpeg_over_limit,   // more pixels, memory or scans than the caller allows
  cjpeg_no_memory,    // the system refused memory
} cjpeg_reason;

typedef struct {
  cjpeg_reason reason;
  char text[200];  // libjpeg's words (JMSG_LENGTH_MAX) or ours
} cjpeg_failure;

// What the caller allows, before anything is allocated in proportion to the picture.
typedef struct {
  uint64_t pixels;    // width × height
  size_t memory;      // bytes of working memory, which progressive pictures need most
  bool partial_rows;  // the missing rows of a cut file become gray instead of an error
} cjpeg_limits;

typedef struct {
  uint32_t width, height;
  int components;    // 1 gray, 3 RGB or YCbCr, 4 CMYK or YCCK
  bool progressive;  // more than one scan: the whole file is read before the first row appears
} cjpeg_header;

// A rectangle of the picture as stored, in pixels from the top left.
typedef struct {
  uint32_t left, top, width, height;
} cjpeg_region;

// Bytes that may be read after each row, without meaning, so that vector loads need no tail.
enum { cjpeg_slack = 64 };

// Receives one row of the region: `y` counts from the region's top; `rgbx` holds 4 × width bytes, of
// which each fourth has no meaning, and `cjpeg_slack` more. Valid during the call only.
typedef void (*cjpeg_row)(void *sink, uint32_t y, const uint8_t *rgbx);

// Reads the header and checks it against the limits.
bool cjpeg_read_header(
  const uint8_t *bytes, size_t count, const cjpeg_limits *limits,
  cjpeg_header *header, cjpeg_failure *failure);

// Decodes a region, top row first: accurate integer DCT, fancy upsampling, block smoothing, and CMYK
// to RGB, all as Pillow has them. Pixels do not depend on the region. False: rows already delivered
// are worthless.
bool cjpeg_decode(
  const uint8_t *bytes, size_t count, const cjpeg_limits *limits,
  cjpeg_region region, cjpeg_row row, void *sink, cjpeg_failure *failure);
