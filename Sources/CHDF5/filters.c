#include "CHDF5.h"

#include <string.h>

void chdf5_unshuffle(uint8_t *to, const uint8_t *from, size_t width, size_t bytes) {
  size_t count = width == 0 ? 0 : bytes / width;
  if (width == 4) {
    const uint8_t *a = from, *b = a + count, *c = b + count, *d = c + count;
    for (size_t i = 0; i < count; i++) {
      uint32_t element = (uint32_t)a[i] | (uint32_t)b[i] << 8 | (uint32_t)c[i] << 16 |
                         (uint32_t)d[i] << 24;
      memcpy(to + 4 * i, &element, 4);
    }
  } else if (width == 2) {
    const uint8_t *a = from, *b = a + count;
    for (size_t i = 0; i < count; i++) {
      uint16_t element = (uint16_t)(a[i] | b[i] << 8);
      memcpy(to + 2 * i, &element, 2);
    }
  } else {
    for (size_t i = 0; i < count; i++) {
      for (size_t part = 0; part < width; part++) to[i * width + part] = from[part * count + i];
    }
  }
  size_t done = count * width;
  memcpy(to + done, from + done, bytes - done);
}

// Sums of 16-bit words stay below 2^32 for this many words.
enum { words_per_fold = 360 };

static uint32_t fold(uint32_t sum) { return (sum & 0xffff) + (sum >> 16); }

uint32_t chdf5_fletcher32(const uint8_t *bytes, size_t count) {
  uint32_t low = 0, high = 0;
  size_t words = count / 2;
  while (words > 0) {
    size_t block = words < words_per_fold ? words : words_per_fold;
    for (size_t i = 0; i < block; i++, bytes += 2) {
      low += (uint32_t)bytes[0] << 8 | bytes[1];
      high += low;
    }
    low = fold(low);
    high = fold(high);
    words -= block;
  }
  if (count % 2 != 0) {
    low = fold(low + ((uint32_t)*bytes << 8));
    high = fold(high + low);
  }
  return fold(high) << 16 | fold(low);
}
