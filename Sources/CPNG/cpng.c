#include "CPNG.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <png.h>

typedef struct {
  png_structp png;
  png_infop info;
  const uint8_t *bytes;  // of the file that is read
  size_t count, position;
  bool has_header, has_rows;
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
  fail(png_get_error_ptr(png), is_memory ? cpng_no_memory : cpng_malformed, text);
}

static void ignore_warning(png_structp png, png_const_charp text) {
  (void)png;
  (void)text;
}

static void read_bytes(png_structp png, png_bytep into, size_t count) {
  coder *self = png_get_io_ptr(png);
  if (count > self->count - self->position) {
    fail(self, cpng_truncated, "the file ends before the picture does");
  }
  memcpy(into, self->bytes + self->position, count);
  self->position += count;
}

static void write_bytes(png_structp png, png_bytep bytes, size_t count) {
  coder *self = png_get_io_ptr(png);
  if (!self->write(self->sink, bytes, count)) fail(self, cpng_no_memory, "the writer refused bytes");
}

static void flush_nothing(png_structp png) { (void)png; }

// MARK: Steps

// Finds the eXIf chunk by walking the chunks in front of the pixels; libpng has checked them.
static void find_exif(const coder *self, cpng_header *header) {
  size_t at = 8;
  while (at + 12 <= self->position) {
    uint32_t length = png_get_uint_32(self->bytes + at);
    if (length > self->position - at - 8) return;
    if (memcmp(self->bytes + at + 4, "eXIf", 4) == 0) {
      header->exif_offset = at + 8;
      header->exif_count = length;
      return;
    }
    at += 12 + (size_t)length;
  }
}

static void start_reading(coder *self, uint64_t most_pixels) {
  png_structp png = self->png =
    png_create_read_struct(PNG_LIBPNG_VER_STRING, self, fail_by_library, ignore_warning);
  png_infop info = self->info = png ? png_create_info_struct(png) : NULL;
  if (!info) fail(self, cpng_no_memory, "no memory for libpng");
  png_set_read_fn(png, self, read_bytes);
  // A wrong checksum is damage, in any chunk.
  png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  // Color profiles and texts are not wanted: pixels are taken as they stand, as Pillow takes them.
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
  static const png_byte unwanted[] =
    "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0sPLT\0sRGB\0tEXt\0tIME\0zTXt";
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, unwanted, (int)(sizeof unwanted / 5));
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
  self->has_header = true;
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

static void read_rows(coder *self, bool color_key, uint8_t *rgba, size_t capacity) {
  png_structp png = self->png;
  png_infop info = self->info;
  uint32_t width = png_get_image_width(png, info), height = png_get_image_height(png, info);
  set_transformations(png, info, color_key);
  int passes = png_set_interlace_handling(png);
  png_read_update_info(png, info);
  size_t stride = (size_t)width * 4;
  if (png_get_rowbytes(png, info) != stride || capacity / stride < height) {
    fail(self, cpng_malformed, "the rows are not as the header says");
  }
  for (int pass = 0; pass < passes; pass++) {
    for (uint32_t y = 0; y < height; y++) png_read_row(png, rgba + y * stride, NULL);
  }
  self->has_rows = true;
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
  find_exif(&self, header);
  return finish_reading(&self, true);
}

bool cpng_decode(
  const uint8_t *bytes, size_t count, uint64_t most_pixels, bool partial_rows, bool color_key,
  uint8_t *rgba, size_t capacity, cpng_failure *failure) {
  coder self = {.bytes = bytes, .count = count, .failure = failure};
  if (setjmp(self.escape)) {
    // What follows the last row may be missing, as for Pillow; damage in it is still damage.
    bool may_end = self.has_rows || (self.has_header && partial_rows);
    return finish_reading(&self, may_end && failure->reason == cpng_truncated);
  }
  start_reading(&self, most_pixels);
  read_rows(&self, color_key, rgba, capacity);
  png_read_end(self.png, NULL);
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
