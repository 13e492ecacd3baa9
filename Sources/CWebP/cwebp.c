#include "CWebP.h"

#include <stdio.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

static bool fail(cwebp_failure *failure, cwebp_reason reason, const char *text) {
  failure->reason = reason;
  snprintf(failure->text, sizeof failure->text, "%s", text);
  return false;
}

static bool fail_at_end(cwebp_failure *failure) {
  return fail(failure, cwebp_truncated, "the file ends before the picture does");
}

static bool fail_by_status(cwebp_failure *failure, VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY: return fail(failure, cwebp_no_memory, "no memory for libwebp");
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED: return fail_at_end(failure);
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return fail(failure, cwebp_malformed, "a feature that libwebp does not know");
    default: return fail(failure, cwebp_malformed, "bits that libwebp cannot decode");
  }
}

static bool check(uint64_t width, uint64_t height, uint64_t most_pixels, cwebp_failure *failure) {
  if (width * height <= most_pixels) return true;
  char text[120];
  snprintf(text, sizeof text, "%llu x %llu pixels; the limit is %llu", (unsigned long long)width,
           (unsigned long long)height, (unsigned long long)most_pixels);
  return fail(failure, cwebp_over_limit, text);
}

// A whole file taken apart; NULL for a failure.
static WebPDemuxer *open(const uint8_t *bytes, size_t count, cwebp_failure *failure) {
  WebPData data = {bytes, count};
  WebPDemuxState state;
  WebPDemuxer *demuxer = WebPDemuxPartial(&data, &state);
  if (demuxer && state == WEBP_DEMUX_DONE) return demuxer;
  WebPDemuxDelete(demuxer);
  if (state == WEBP_DEMUX_PARSE_ERROR) {
    fail(failure, cwebp_malformed, "chunks that libwebp cannot take apart");
  } else {
    fail_at_end(failure);
  }
  return NULL;
}

static cwebp_part part(const WebPDemuxer *demuxer, const uint8_t *bytes, const char *name) {
  WebPChunkIterator chunk;
  if (!WebPDemuxGetChunk(demuxer, name, 1, &chunk)) return (cwebp_part){0, 0};
  cwebp_part part = {(size_t)(chunk.chunk.bytes - bytes), chunk.chunk.size};
  WebPDemuxReleaseChunkIterator(&chunk);
  return part;
}

// MARK: Entry points

bool cwebp_read_header(
  const uint8_t *bytes, size_t count, size_t file_count, uint64_t most_pixels, cwebp_header *header,
  cwebp_failure *failure) {
  WebPBitstreamFeatures features;
  VP8StatusCode status = WebPGetFeatures(bytes, count, &features);
  if (status != VP8_STATUS_OK) return fail_by_status(failure, status);
  *header = (cwebp_header){
    .width = (uint32_t)features.width,
    .height = (uint32_t)features.height,
    .has_alpha = features.has_alpha,
  };
  if (!check(header->width, header->height, most_pixels, failure)) return false;
  // Only an extended file, which says so in its first chunk, has metadata.
  enum { flags = 20, metadata = EXIF_FLAG | XMP_FLAG };
  if (count <= flags || memcmp(bytes + 12, "VP8X", 4) != 0 || !(bytes[flags] & metadata)) return true;
  if (count < file_count) return fail_at_end(failure);
  // What is wrong with the pictures is said where they are decoded.
  cwebp_failure ignored;
  WebPDemuxer *demuxer = open(bytes, count, &ignored);
  if (!demuxer) return true;
  header->exif = part(demuxer, bytes, "EXIF");
  header->xmp = part(demuxer, bytes, "XMP ");
  WebPDemuxDelete(demuxer);
  return true;
}

// The first frame at its place on the canvas.
static bool decode_frame(
  const WebPIterator *frame, uint32_t width, uint32_t height, uint8_t *rgba, cwebp_failure *failure) {
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) return fail(failure, cwebp_malformed, "another version of libwebp");
  VP8StatusCode status = WebPGetFeatures(frame->fragment.bytes, frame->fragment.size, &config.input);
  if (status != VP8_STATUS_OK) return fail_by_status(failure, status);
  uint64_t right = (uint64_t)frame->x_offset + (uint64_t)frame->width;
  uint64_t bottom = (uint64_t)frame->y_offset + (uint64_t)frame->height;
  if (frame->x_offset < 0 || frame->y_offset < 0 || right > width || bottom > height
      || config.input.width != frame->width || config.input.height != frame->height) {
    return fail(failure, cwebp_malformed, "a frame that is not as the canvas says");
  }
  size_t stride = (size_t)width * 4;
  if ((uint32_t)frame->width < width || (uint32_t)frame->height < height) memset(rgba, 0, stride * height);
  size_t start = (size_t)frame->y_offset * stride + (size_t)frame->x_offset * 4;
  config.output.colorspace = MODE_RGBA;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = rgba + start;
  config.output.u.RGBA.stride = (int)stride;
  config.output.u.RGBA.size = stride * height - start;
  status = WebPDecode(frame->fragment.bytes, frame->fragment.size, &config);
  return status == VP8_STATUS_OK || fail_by_status(failure, status);
}

bool cwebp_decode(
  const uint8_t *bytes, size_t count, uint64_t most_pixels, uint8_t *rgba, size_t capacity,
  cwebp_failure *failure) {
  WebPDemuxer *demuxer = open(bytes, count, failure);
  if (!demuxer) return false;
  uint32_t width = WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_WIDTH);
  uint32_t height = WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_HEIGHT);
  bool is_done = check(width, height, most_pixels, failure);
  WebPIterator frame;
  if (is_done && capacity / 4 / (width ? width : 1) < height) {
    is_done = fail(failure, cwebp_malformed, "the pictures are larger than the header says");
  }
  if (is_done && !WebPDemuxGetFrame(demuxer, 1, &frame)) {
    is_done = fail(failure, cwebp_malformed, "there is no picture");
  } else if (is_done) {
    is_done = decode_frame(&frame, width, height, rgba, failure);
    WebPDemuxReleaseIterator(&frame);
  }
  // A canvas without transparency is opaque whatever its frame leaves of it.
  WebPBitstreamFeatures features;
  if (is_done && WebPGetFeatures(bytes, count, &features) == VP8_STATUS_OK && !features.has_alpha) {
    for (size_t i = 3; i < (size_t)width * height * 4; i += 4) rgba[i] = 255;
  }
  WebPDemuxDelete(demuxer);
  return is_done;
}
