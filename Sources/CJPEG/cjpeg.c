#include "CJPEG.h"

#include <setjmp.h>
#include <stdio.h>  // before jpeglib.h, which takes size_t and FILE for granted
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

_Static_assert(sizeof((cjpeg_failure){0}.text) >= JMSG_LENGTH_MAX, "libjpeg's messages must fit");

// A progressive picture is walked once for each scan, and a scan can be ten bytes long. Encoders write
// about ten scans and touch each block about six times; these bounds stop a small file from buying
// minutes: so many visits of each block, and so many more in all and for each byte.
enum { most_scans = 500, most_visits = 10, free_visits = 1 << 21 };

// An arithmetic decoder makes whole blocks of no bits at all, a coefficient at a time.
enum { arithmetic_pixels = 1 << 22, arithmetic_pixels_per_byte = 8 };

// Samples at the edge of a cropped row are upsampled without their outer neighbour: decode a few
// more columns than asked for. Fancy upsampling looks one chroma sample, two pixels, aside.
enum { column_margin = 16 };

typedef struct {
  struct jpeg_decompress_struct info;
  struct jpeg_error_mgr errors;
  struct jpeg_source_mgr source;
  struct jpeg_progress_mgr progress;
  jmp_buf escape;
  cjpeg_failure *failure;
  uint64_t blocks;  // of all components
  uint64_t visits;  // the blocks that the scans so far touch, each counted once a scan
  int scans;        // how many are counted
  size_t count;     // the bytes of the file
  bool may_end;     // every row is out, or partial rows are allowed: the file may end here
} decoder;

// MARK: Failure

static _Noreturn void fail(decoder *self, cjpeg_reason reason, const char *text) {
  self->failure->reason = reason;
  snprintf(self->failure->text, sizeof self->failure->text, "%s", text);
  longjmp(self->escape, 1);
}

static const char *process_name(int marker) {
  switch (marker) {
    case 0xC3: return "lossless JPEG (SOF3), which libjpeg-turbo 2 does not read";
    case 0xCB: return "lossless arithmetic JPEG (SOF11), which libjpeg-turbo does not read";
    default: return "hierarchical JPEG, which libjpeg-turbo does not read";
  }
}

static void fail_by_library(j_common_ptr info) {
  decoder *self = info->client_data;
  char text[JMSG_LENGTH_MAX];
  switch (info->err->msg_code) {
    case JERR_BAD_PRECISION:
      snprintf(text, sizeof text, "%d-bit samples; only 8-bit JPEG is read", info->err->msg_parm.i[0]);
      fail(self, cjpeg_unsupported, text);
    case JERR_SOF_UNSUPPORTED:
      fail(self, cjpeg_unsupported, process_name(info->err->msg_parm.i[0]));
    case JERR_OUT_OF_MEMORY:
      fail(self, cjpeg_no_memory, "no memory for libjpeg");
    case JERR_NO_BACKING_STORE:
      fail(self, cjpeg_over_limit, "the picture needs more working memory than the limit");
    default:
      info->err->format_message(info, text);
      fail(self, cjpeg_malformed, text);
  }
}

// Warnings tell of data that can still be read, such as stray bytes before a marker. Pillow ignores
// them, and so do we: the one that loses rows, the end of the file, is caught in `fill`.
static void ignore_message(j_common_ptr info, int level) {
  (void)info;
  (void)level;
}

// MARK: Source: the whole file lies in memory

static void do_nothing(j_decompress_ptr info) { (void)info; }

static boolean fill(j_decompress_ptr info) {
  decoder *self = info->client_data;
  static const JOCTET end_of_image[2] = {0xFF, JPEG_EOI};
  if (!self->may_end) fail(self, cjpeg_truncated, "the file ends before the picture does");
  self->source.next_input_byte = end_of_image;
  self->source.bytes_in_buffer = sizeof end_of_image;
  return TRUE;
}

static void skip(j_decompress_ptr info, long count) {
  decoder *self = info->client_data;
  if (count <= 0) return;
  if ((size_t)count > self->source.bytes_in_buffer) {
    self->source.bytes_in_buffer = 0;  // the next read calls `fill`
  } else {
    self->source.next_input_byte += count;
    self->source.bytes_in_buffer -= (size_t)count;
  }
}

// MARK: Steps

static void count_scans(j_common_ptr common) {
  decoder *self = common->client_data;
  const struct jpeg_decompress_struct *info = &self->info;
  if (info->input_scan_number == self->scans) return;
  self->scans = info->input_scan_number;
  for (int i = 0; i < info->comps_in_scan; i++) {
    const jpeg_component_info *part = info->cur_comp_info[i];
    self->visits += (uint64_t)part->width_in_blocks * part->height_in_blocks;
  }
  uint64_t allowed = most_visits * self->blocks + free_visits + self->count;
  if (self->scans > most_scans || self->visits > allowed) {
    fail(self, cjpeg_over_limit, "the picture is split into more scans than any encoder writes");
  }
}

static void prepare(decoder *self, const uint8_t *bytes, size_t count, cjpeg_failure *failure) {
  memset(self, 0, sizeof *self);
  self->failure = failure;
  self->count = count;
  self->info.err = jpeg_std_error(&self->errors);
  self->info.client_data = self;
  self->errors.error_exit = fail_by_library;
  self->errors.emit_message = ignore_message;
  self->source = (struct jpeg_source_mgr){
    .next_input_byte = bytes,
    .bytes_in_buffer = count,
    .init_source = do_nothing,
    .fill_input_buffer = fill,
    .skip_input_data = skip,
    .resync_to_restart = jpeg_resync_to_restart,
    .term_source = do_nothing,
  };
  self->progress.progress_monitor = count_scans;
}

static bool finish(decoder *self, bool done) {
  jpeg_destroy_decompress(&self->info);
  return done;
}

static void read_header(decoder *self, const cjpeg_limits *limits) {
  jpeg_create_decompress(&self->info);
  self->info.src = &self->source;
  self->info.mem->max_memory_to_use = (long)limits->memory;
  jpeg_read_header(&self->info, TRUE);
  uint64_t pixels = (uint64_t)self->info.image_width * self->info.image_height;
  if (pixels > limits->pixels) {
    char text[120];
    snprintf(text, sizeof text, "%u x %u pixels; the limit is %llu", self->info.image_width,
             self->info.image_height, (unsigned long long)limits->pixels);
    fail(self, cjpeg_over_limit, text);
  }
  int components = self->info.num_components;
  if (components != 1 && components != 3 && components != 4) {
    char text[120];
    snprintf(text, sizeof text, "%d color components; a picture has 1, 3 or 4", components);
    fail(self, cjpeg_unsupported, text);
  }
  if (self->info.data_precision != 8) {
    fail(self, cjpeg_unsupported, "only 8-bit JPEG is read");
  }
  for (int i = 0; i < components; i++) {
    const jpeg_component_info *part = &self->info.comp_info[i];
    self->blocks += (uint64_t)part->width_in_blocks * part->height_in_blocks;
  }
  self->may_end = limits->partial_rows;
}

// Pillow's reading of CMYK: Adobe's inversion is assumed, then R = (255 - K) - C (255 - K) / 255,
// rounded. `c` and `k` are the stored, inverted values.
static inline uint8_t ink(uint32_t c, uint32_t k) {
  uint32_t product = (255 - c) * k + 128;
  return (uint8_t)(k - (((product >> 8) + product) >> 8));
}

static void replace_cmyk(uint8_t *row, uint32_t width) {
  for (uint8_t *pixel = row; pixel < row + 4 * (size_t)width; pixel += 4) {
    uint32_t k = pixel[3];
    pixel[0] = ink(pixel[0], k);
    pixel[1] = ink(pixel[1], k);
    pixel[2] = ink(pixel[2], k);
  }
}

// Whether the next marker that is no restart ends the picture, so that the rows left need no look.
static bool ends_well(const struct jpeg_source_mgr *source) {
  const JOCTET *byte = source->next_input_byte;
  const JOCTET *end = byte + source->bytes_in_buffer;
  while (byte < end && (byte = memchr(byte, 0xFF, (size_t)(end - byte)))) {
    while (byte < end && *byte == 0xFF) byte++;
    if (byte == end) return false;
    if (*byte != 0 && (*byte < JPEG_RST0 || *byte > JPEG_RST0 + 7)) return *byte == JPEG_EOI;
  }
  return false;
}

// Rows above and below the region still pass through the entropy decoder: only so is it known that
// the file holds all of them.
static void deliver(decoder *self, cjpeg_region region, cjpeg_row row, void *sink) {
  struct jpeg_decompress_struct *info = &self->info;
  JDIMENSION left = region.left > column_margin ? region.left - column_margin : 0;
  JDIMENSION right = region.left + region.width + column_margin;
  JDIMENSION width = (right < info->output_width ? right : info->output_width) - left;
  if (width < info->output_width) {
    jpeg_crop_scanline(info, &left, &width);  // moves `left` down to a multiple of the block size
  } else {
    left = 0;
  }
  // libjpeg-turbo writes aligned rows past the caches (movntdq), and reading them back then takes as long
  // as half of the decoding: so rows start 4 bytes off.
  enum { misalignment = 4 };
  JSAMPARRAY buffer = info->mem->alloc_sarray(
    (j_common_ptr)info, JPOOL_IMAGE, info->output_width * 4 + cjpeg_slack + misalignment, 1);
  JSAMPROW pixels = buffer[0] + misalignment;
  uint32_t end = region.top + region.height;
  while (info->output_scanline < info->output_height) {
    uint32_t y = info->output_scanline;
    if (y == end && (jpeg_has_multiple_scans(info) || ends_well(&self->source))) return;
    jpeg_read_scanlines(info, &pixels, 1);
    if (y < region.top || y >= end) continue;
    uint8_t *wanted = pixels + (size_t)(region.left - left) * 4;
    if (info->out_color_space == JCS_CMYK) replace_cmyk(wanted, region.width);
    row(sink, y - region.top, wanted);
  }
  self->may_end = true;
  jpeg_finish_decompress(info);
}

// MARK: Entry points

bool cjpeg_read_header(
  const uint8_t *bytes, size_t count, const cjpeg_limits *limits,
  cjpeg_header *header, cjpeg_failure *failure) {
  decoder self;
  prepare(&self, bytes, count, failure);
  if (setjmp(self.escape)) return finish(&self, false);
  read_header(&self, limits);
  header->width = self.info.image_width;
  header->height = self.info.image_height;
  header->components = self.info.num_components;
  header->progressive = jpeg_has_multiple_scans(&self.info);
  return finish(&self, true);
}

bool cjpeg_decode(
  const uint8_t *bytes, size_t count, const cjpeg_limits *limits,
  cjpeg_region region, cjpeg_row row, void *sink, cjpeg_failure *failure) {
  decoder self;
  prepare(&self, bytes, count, failure);
  if (setjmp(self.escape)) return finish(&self, false);
  read_header(&self, limits);
  if (region.width == 0 || region.height == 0 || region.left > self.info.image_width
      || region.width > self.info.image_width - region.left || region.top > self.info.image_height
      || region.height > self.info.image_height - region.top) {
    fail(&self, cjpeg_malformed, "the region lies outside the picture");
  }
  uint64_t pixels = (uint64_t)self.info.image_width * self.info.image_height;
  if (self.info.arith_code && pixels > arithmetic_pixels + arithmetic_pixels_per_byte * (uint64_t)count) {
    fail(&self, cjpeg_over_limit, "far more pixels than an arithmetic-coded file of its size holds");
  }
  self.info.progress = &self.progress;
  self.info.dct_method = JDCT_ISLOW;
  self.info.do_fancy_upsampling = TRUE;
  self.info.do_block_smoothing = TRUE;
  self.info.out_color_space = self.info.num_components == 4 ? JCS_CMYK : JCS_EXT_RGBX;
  jpeg_start_decompress(&self.info);
  deliver(&self, region, row, sink);
  return finish(&self, true);
}
