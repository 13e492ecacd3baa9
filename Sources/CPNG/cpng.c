#include "CPNG.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <png.h>

// What libpng is given next of a file: its signature, then of each chunk that makes pixels the three parts.
typedef enum { piece_signature, piece_head, piece_data, piece_checksum } piece_kind;

typedef struct {
  png_structp png;
  png_infop info;
  const uint8_t *bytes;  // of the file that is read
  size_t count, position;
  piece_kind next;       // the piece that comes when the present one is read
  const uint8_t *piece;  // what is left of the present one
  size_t piece_count;
  uint8_t head[8];       // length and name of the chunk
  bool has_pixels;       // the first of the chunks with pixels was met
  bool reads_rows;
  cpng_write write;  // of the file that is written
  void *sink;
  cpng_failure *failure;
  jmp_buf escape;
} coder;

// The most rows or columns of a picture that is read: a row costs something however short it is.
enum { longest_side = 1 << 20 };

// MARK: Failure

static _Noreturn void fail(coder *self, cpng_reason reason, const char *text) {
  self->failure->reason = reason;
  snprintf(self->failure->text, sizeof self->failure->text, "%s", text);
  longjmp(self->escape, 1);
}

static void fail_by_library(png_structp png, png_const_charp text) {
  // libpng has no numbers for its errors.
  bool is_memory = strstr(text, "memory") != NULL;
  coder *self = png_get_error_ptr(png);
  // Pixels end where another chunk stands.
  bool is_cut = self->has_pixels && memcmp(self->head + 4, "IDAT", 4) != 0;
  fail(self, is_memory ? cpng_no_memory : is_cut ? cpng_truncated : cpng_malformed, text);
}

static void ignore_warning(png_structp png, png_const_charp text) {
  (void)png;
  (void)text;
}

static _Noreturn void fail_at_end(coder *self) {
  fail(self, cpng_truncated, "the file ends before the picture does");
}

// Whether a chunk makes pixels. Color profiles and texts are not wanted: pixels are taken as they stand,
// as Pillow takes them, and damage in what is not wanted is none of theirs.
static bool is_wanted(const uint8_t *name) {
  static const char wanted[][5] = {"IHDR", "PLTE", "tRNS", "IDAT", "IEND"};
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
    if (memcmp(name, wanted[i], 4) == 0) return true;
  }
  return false;
}

// The head of the next chunk that is wanted; the last one of a cut file is as long as what there is of it.
static void find_chunk(coder *self) {
  for (;;) {
    if (self->count - self->position < sizeof self->head) fail_at_end(self);
    size_t left = self->count - self->position - sizeof self->head;
    memcpy(self->head, self->bytes + self->position, sizeof self->head);
    size_t length = png_get_uint_32(self->head);
    bool has_pixels = memcmp(self->head + 4, "IDAT", 4) == 0;
    if (length > left && !has_pixels) fail_at_end(self);
    if (length > left) png_save_uint_32(self->head, (png_uint_32)left);
    if (self->has_pixels || is_wanted(self->head + 4)) {
      self->has_pixels = self->has_pixels || has_pixels;
      self->position += sizeof self->head;
      return;
    }
    if (left - length < 4) fail_at_end(self);
    self->position += sizeof self->head + length + 4;
  }
}

static void take_piece(coder *self) {
  static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
  static const uint8_t checksum[4] = {0};  // which libpng does not look at
  switch (self->next) {
    case piece_signature:
      self->piece = signature;
      self->piece_count = sizeof signature;
      self->position = sizeof signature < self->count ? sizeof signature : self->count;
      self->next = piece_head;
      return;
    case piece_head:
      find_chunk(self);
      self->piece = self->head;
      self->piece_count = sizeof self->head;
      self->next = piece_data;
      return;
    case piece_data:
      self->piece = self->bytes + self->position;
      self->piece_count = png_get_uint_32(self->head);
      self->position += self->piece_count;
      self->next = piece_checksum;
      return;
    case piece_checksum:
      self->piece = checksum;
      self->piece_count = sizeof checksum;
      self->position += self->count - self->position < 4 ? self->count - self->position : 4;
      self->next = piece_head;
      return;
  }
}

static void read_bytes(png_structp png, png_bytep into, size_t count) {
  coder *self = png_get_io_ptr(png);
  while (count > 0) {
    if (self->piece_count == 0) {
      take_piece(self);
      continue;
    }
    size_t part = count < self->piece_count ? count : self->piece_count;
    memcpy(into, self->piece, part);
    into += part;
    count -= part;
    self->piece += part;
    self->piece_count -= part;
  }
}

static void write_bytes(png_structp png, png_bytep bytes, size_t count) {
  coder *self = png_get_io_ptr(png);
  if (!self->write(self->sink, bytes, count)) fail(self, cpng_no_memory, "the writer refused bytes");
}

static void flush_nothing(png_structp png) { (void)png; }

// MARK: Steps

static void start_reading(coder *self, uint64_t most_pixels) {
  png_structp png = self->png =
    png_create_read_struct(PNG_LIBPNG_VER_STRING, self, fail_by_library, ignore_warning);
  png_infop info = self->info = png ? png_create_info_struct(png) : NULL;
  if (!info) fail(self, cpng_no_memory, "no memory for libpng");
  png_set_read_fn(png, self, read_bytes);
  png_set_crc_action(png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
  // Some writers state a window smaller than the one they used.
  png_set_option(png, PNG_MAXIMUM_INFLATE_WINDOW, PNG_OPTION_ON);
  png_set_user_limits(png, 0x7FFFFFFF, 0x7FFFFFFF);  // ours are below
  png_read_info(png, info);
  uint64_t pixels = (uint64_t)png_get_image_width(png, info) * png_get_image_height(png, info);
  if (png_get_image_width(png, info) > longest_side || png_get_image_height(png, info) > longest_side) {
    fail(self, cpng_over_limit, "a side of more than 1048576 pixels");
  }
  if (pixels > most_pixels) {
    char text[120];
    snprintf(text, sizeof text, "%u x %u pixels; the limit is %llu", png_get_image_width(png, info),
             png_get_image_height(png, info), (unsigned long long)most_pixels);
    fail(self, cpng_over_limit, text);
  }
}

// Everything becomes 8-bit RGBA. Pillow takes no notice of the transparent color of an RGB picture
// (tRNS) when it converts to RGB; it does when it converts to RGBA.
static void set_transformations(png_structp png, png_infop info, bool color_key) {
  int color = png_get_color_type(png, info);
  if (color == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
  if (color == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png);
  bool has_key = color == PNG_COLOR_TYPE_GRAY || (color == PNG_COLOR_TYPE_RGB && color_key);
  if (has_key && png_get_valid(png, info, PNG_INFO_tRNS)) png_set_tRNS_to_alpha(png);
  png_set_strip_16(png);
  if (!(color & PNG_COLOR_MASK_COLOR)) png_set_gray_to_rgb(png);
  png_set_add_alpha(png, 0xFF, PNG_FILLER_AFTER);  // nothing where there is an alpha value
}

// Pillow's pixels where a row is missing: samples of 0, which may be any color of a palette.
static void fill_rows(coder *self, bool color_key, uint8_t *rgba, size_t pixels) {
  png_structp png = self->png;
  png_infop info = self->info;
  int color = png_get_color_type(png, info), alphas = 0, colors = 0;
  png_bytep alpha = NULL;
  png_color_16p key = NULL;
  png_colorp palette = NULL;
  uint8_t pixel[4] = {0, 0, 0, (color & PNG_COLOR_MASK_ALPHA) ? 0 : 255};
  bool has_key = png_get_tRNS(png, info, &alpha, &alphas, &key) != 0;
  if (color == PNG_COLOR_TYPE_PALETTE && png_get_PLTE(png, info, &palette, &colors) && colors > 0) {
    memcpy(pixel, (uint8_t[]){palette->red, palette->green, palette->blue}, 3);
    if (has_key && alphas > 0) pixel[3] = alpha[0];
  } else if (color == PNG_COLOR_TYPE_GRAY && has_key && key->gray == 0) {
    pixel[3] = 0;
  } else if (color == PNG_COLOR_TYPE_RGB && has_key && color_key && !key->red && !key->green && !key->blue) {
    pixel[3] = 0;
  }
  for (size_t i = 0; i < pixels; i++) memcpy(rgba + 4 * i, pixel, 4);
}

static void read_rows(coder *self, bool partial_rows, bool color_key, uint8_t *rgba, size_t capacity) {
  png_structp png = self->png;
  png_infop info = self->info;
  uint32_t width = png_get_image_width(png, info), height = png_get_image_height(png, info);
  set_transformations(png, info, color_key);
  int passes = png_set_interlace_handling(png);
  size_t stride = (size_t)width * 4;
  if (capacity / stride < height) fail(self, cpng_malformed, "the rows are not as the header says");
  if (partial_rows) fill_rows(self, color_key, rgba, (size_t)width * height);
  png_read_update_info(png, info);
  if (png_get_rowbytes(png, info) != stride) fail(self, cpng_malformed, "the rows are not as the header says");
  self->reads_rows = true;
  for (int pass = 0; pass < passes; pass++) {
    for (uint32_t y = 0; y < height; y++) png_read_row(png, rgba + y * stride, NULL);
  }
}

// Behind the last row libpng looks for the end of the data; Pillow does not.
static bool has_rows(const coder *self) {
  if (!self->reads_rows) return false;
  if (png_get_interlace_type(self->png, self->info) == PNG_INTERLACE_ADAM7) {
    return png_get_current_pass_number(self->png) >= 7;
  }
  return png_get_current_row_number(self->png) >= png_get_image_height(self->png, self->info);
}

static bool finish_reading(coder *self, bool done) {
  png_destroy_read_struct(&self->png, &self->info, NULL);
  return done;
}

// MARK: Entry points

bool cpng_read_header(
  const uint8_t *bytes, size_t count, uint64_t most_pixels, cpng_header *header,
  cpng_failure *failure) {
  coder self = {.bytes = bytes, .count = count, .failure = failure};
  if (setjmp(self.escape)) return finish_reading(&self, false);
  start_reading(&self, most_pixels);
  int color = png_get_color_type(self.png, self.info);
  bool transparent =
    color != PNG_COLOR_TYPE_RGB && png_get_valid(self.png, self.info, PNG_INFO_tRNS);
  *header = (cpng_header){
    .width = png_get_image_width(self.png, self.info),
    .height = png_get_image_height(self.png, self.info),
    .has_alpha = (color & PNG_COLOR_MASK_ALPHA) || transparent,
  };
  return finish_reading(&self, true);
}

bool cpng_decode(
  const uint8_t *bytes, size_t count, uint64_t most_pixels, bool partial_rows, bool color_key,
  uint8_t *rgba, size_t capacity, cpng_failure *failure) {
  coder self = {.bytes = bytes, .count = count, .failure = failure};
  if (setjmp(self.escape)) {
    bool is_machine = failure->reason == cpng_no_memory;
    bool may_end = has_rows(&self) || (self.reads_rows && partial_rows);
    return finish_reading(&self, may_end && !is_machine);
  }
  start_reading(&self, most_pixels);
  read_rows(&self, partial_rows, color_key, rgba, capacity);
  return finish_reading(&self, true);
}

bool cpng_encode(
  const uint8_t *rgb, uint32_t width, uint32_t height, cpng_write write, void *sink,
  cpng_failure *failure) {
  coder self = {.failure = failure, .write = write, .sink = sink};
  if (setjmp(self.escape)) {
    png_destroy_write_struct(&self.png, &self.info);
    return false;
  }
  png_structp png = self.png =
    png_create_write_struct(PNG_LIBPNG_VER_STRING, &self, fail_by_library, ignore_warning);
  self.info = png ? png_create_info_struct(png) : NULL;
  if (!self.info) fail(&self, cpng_no_memory, "no memory for libpng");
  png_set_write_fn(png, &self, write_bytes, flush_nothing);
  png_set_user_limits(png, 0x7FFFFFFF, 0x7FFFFFFF);
  png_set_IHDR(png, self.info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  // Named, not left to the library's defaults, so that the bytes stay the same: one filter that suits
  // photographs, one level, zlib's strategy for filtered data (Z_FILTERED).
  png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_FILTER_PAETH);
  png_set_compression_level(png, 6);
  png_set_compression_strategy(png, 1);
  png_write_info(png, self.info);
  for (uint32_t y = 0; y < height; y++) png_write_row(png, rgb + (size_t)y * width * 3);
  png_write_end(png, self.info);
  png_destroy_write_struct(&self.png, &self.info);
  return true;
}
