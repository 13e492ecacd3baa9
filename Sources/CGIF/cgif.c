#include "CGIF.h"

#include <stdio.h>
#include <string.h>

#include <gif_lib.h>

typedef struct {
  const uint8_t *bytes;
  size_t count, position;
  bool is_over;  // more was asked for than there is
} reader;

// The first frame, its data not yet read.
typedef struct {
  reader source;
  GifFileType *gif;
  uint32_t width, height;  // of the picture
  int transparent;         // its index; -1 for none
} picture;

enum { graphics_control = 0xF9, is_transparent = 1 };

// MARK: Failure

static bool fail(cgif_failure *failure, cgif_reason reason, const char *text) {
  failure->reason = reason;
  snprintf(failure->text, sizeof failure->text, "%s", text);
  return false;
}

static bool fail_by_library(const picture *self, int error, cgif_failure *failure) {
  if (error == D_GIF_ERR_NOT_ENOUGH_MEM) return fail(failure, cgif_no_memory, "no memory for giflib");
  if (self->source.is_over) return fail(failure, cgif_truncated, "the file ends before the picture does");
  const char *words = GifErrorString(error);
  return fail(failure, cgif_malformed, words ? words : "bytes that giflib cannot read");
}

static int read_bytes(GifFileType *gif, GifByteType *into, int wanted) {
  reader *source = gif->UserData;
  size_t left = source->count - source->position;
  if (wanted < 0) return 0;
  if ((size_t)wanted > left) {
    source->is_over = true;
    return 0;
  }
  memcpy(into, source->bytes + source->position, (size_t)wanted);
  source->position += (size_t)wanted;
  return wanted;
}

// MARK: Steps

// Reads an extension; the transparent color stands in the one for graphics.
static int read_extension(picture *self) {
  int code = 0;
  GifByteType *block = NULL;
  int done = DGifGetExtension(self->gif, &code, &block);
  if (done == GIF_OK && block && code == graphics_control && block[0] >= 4 && (block[1] & is_transparent)) {
    self->transparent = block[4];
  }
  while (done == GIF_OK && block) done = DGifGetExtensionNext(self->gif, &block);
  return done;
}

// Reads up to the data of the first frame.
static bool open(
  picture *self, const uint8_t *bytes, size_t count, uint64_t most_pixels, cgif_failure *failure) {
  int error = 0;
  *self = (picture){.source = {.bytes = bytes, .count = count}, .transparent = -1};
  self->gif = DGifOpen(&self->source, read_bytes, &error);
  if (!self->gif) return fail_by_library(self, error, failure);
  GifRecordType kind = UNDEFINED_RECORD_TYPE;
  while (kind != IMAGE_DESC_RECORD_TYPE) {
    if (DGifGetRecordType(self->gif, &kind) != GIF_OK) return fail_by_library(self, self->gif->Error, failure);
    if (kind == TERMINATE_RECORD_TYPE) return fail(failure, cgif_malformed, "there is no picture");
    if (kind == EXTENSION_RECORD_TYPE && read_extension(self) != GIF_OK) {
      return fail_by_library(self, self->gif->Error, failure);
    }
  }
  if (DGifGetImageDesc(self->gif) != GIF_OK) return fail_by_library(self, self->gif->Error, failure);
  const GifImageDesc *frame = &self->gif->Image;
  if (frame->Left < 0 || frame->Top < 0 || frame->Width < 1 || frame->Height < 1) {
    return fail(failure, cgif_malformed, "a frame without pixels");
  }
  uint32_t right = (uint32_t)frame->Left + (uint32_t)frame->Width;
  uint32_t bottom = (uint32_t)frame->Top + (uint32_t)frame->Height;
  uint32_t width = self->gif->SWidth > 0 ? (uint32_t)self->gif->SWidth : 0;
  uint32_t height = self->gif->SHeight > 0 ? (uint32_t)self->gif->SHeight : 0;
  self->width = width > right ? width : right;
  self->height = height > bottom ? height : bottom;
  if ((uint64_t)self->width * self->height <= most_pixels) return true;
  char text[120];
  snprintf(text, sizeof text, "%u x %u pixels; the limit is %llu", self->width, self->height,
           (unsigned long long)most_pixels);
  return fail(failure, cgif_over_limit, text);
}

static bool close(picture *self, bool done) {
  if (self->gif) DGifCloseFile(self->gif, NULL);
  return done;
}

// Whether a table has other colors than the gray of each index.
static bool has_colors(const ColorMapObject *map) {
  for (int i = 0; map && i < map->ColorCount; i++) {
    GifColorType color = map->Colors[i];
    if (color.Red != i || color.Green != i || color.Blue != i) return true;
  }
  return false;
}

// The pixel of each index, as Pillow has it: a table of grays is none, and what no table has is gray; what
// lies beyond a table is black.
static void make_pixels(const picture *self, uint8_t pixels[256][4]) {
  const ColorMapObject *map = self->gif->Image.ColorMap;
  if (!has_colors(map)) map = self->gif->SColorMap;
  if (!has_colors(map)) map = NULL;
  for (int i = 0; i < 256; i++) {
    uint8_t gray = map ? 0 : (uint8_t)i;
    GifColorType color = {gray, gray, gray};
    if (map && i < map->ColorCount) color = map->Colors[i];
    uint8_t alpha = i == self->transparent ? 0 : 255;
    memcpy(pixels[i], (uint8_t[]){color.Red, color.Green, color.Blue, alpha}, 4);
  }
}

// Reads pixels of one row; behind the last one giflib looks for the end of the data, Pillow does not.
static bool read_pixels(picture *self, GifPixelType *line, int count, bool is_last) {
  if (DGifGetLine(self->gif, line, count) == GIF_OK) return true;
  return is_last && self->gif->Error == D_GIF_ERR_READ_FAILED && self->source.is_over;
}

// Reads the rows in the order of the file; one by one the pixels that are there, where they may end anywhere.
static bool read_rows(
  picture *self, bool partial_rows, uint8_t pixels[256][4], uint8_t *rgba, cgif_failure *failure) {
  static const int starts[] = {0, 4, 2, 1}, steps[] = {8, 8, 4, 2};
  const GifImageDesc *frame = &self->gif->Image;
  GifPixelType line[1 << 16];
  int passes = frame->Interlace ? 4 : 1, left = frame->Height;
  int count = partial_rows ? 1 : frame->Width;
  for (int pass = 0; pass < passes; pass++) {
    int step = frame->Interlace ? steps[pass] : 1;
    for (int y = starts[pass]; y < frame->Height; y += step) {
      left--;
      uint8_t *row = rgba + 4 * ((size_t)(frame->Top + y) * self->width + (size_t)frame->Left);
      for (int x = 0; x < frame->Width; x += count) {
        if (!read_pixels(self, line, count, left == 0 && x + count == frame->Width)) {
          return fail_by_library(self, self->gif->Error, failure);
        }
        for (int i = 0; i < count; i++) memcpy(row + 4 * (size_t)(x + i), pixels[line[i]], 4);
      }
    }
  }
  return true;
}

// MARK: Entry points

bool cgif_read_header(
  const uint8_t *bytes, size_t count, uint64_t most_pixels, cgif_header *header, cgif_failure *failure) {
  picture self;
  if (!open(&self, bytes, count, most_pixels, failure)) return close(&self, false);
  *header = (cgif_header){self.width, self.height, self.transparent >= 0};
  return close(&self, true);
}

bool cgif_decode(
  const uint8_t *bytes, size_t count, uint64_t most_pixels, bool partial_rows, uint8_t *rgba,
  size_t capacity, cgif_failure *failure) {
  picture self;
  if (!open(&self, bytes, count, most_pixels, failure)) return close(&self, false);
  if (capacity / 4 / self.width < self.height) {
    return close(&self, fail(failure, cgif_malformed, "the picture is larger than the header says"));
  }
  uint8_t pixels[256][4];
  make_pixels(&self, pixels);
  const uint8_t *rest = pixels[self.transparent >= 0 ? self.transparent : 0];
  const GifImageDesc *frame = &self.gif->Image;
  if (partial_rows || (uint32_t)frame->Width < self.width || (uint32_t)frame->Height < self.height) {
    for (size_t i = 0; i < (size_t)self.width * self.height; i++) memcpy(rgba + 4 * i, rest, 4);
  }
  bool is_done = read_rows(&self, partial_rows, pixels, rgba, failure);
  return close(&self, is_done || (partial_rows && failure->reason != cgif_no_memory));
}
