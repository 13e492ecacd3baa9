#include "CChecksums.h"

#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>

// One instruction for 8 bytes; three independent streams would be faster, and writing is slower anyway.
__attribute__((target("sse4.2"))) static uint32_t crc_hardware(const uint8_t *bytes, size_t count) {
  uint64_t crc = 0xFFFFFFFF;
  while (count >= 8) {
    uint64_t word;
    memcpy(&word, bytes, 8);
    crc = _mm_crc32_u64(crc, word);
    bytes += 8;
    count -= 8;
  }
  uint32_t rest = (uint32_t)crc;
  while (count > 0) {
    rest = _mm_crc32_u8(rest, *bytes);
    bytes += 1;
    count -= 1;
  }
  return ~rest;
}
#endif

static uint32_t crc_bitwise(const uint8_t *bytes, size_t count) {
  uint32_t crc = 0xFFFFFFFF;
  for (size_t index = 0; index < count; index++) {
    crc ^= bytes[index];
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0x82F63B78 & (0 - (crc & 1)));
  }
  return ~crc;
}

uint32_t cchecksums_crc32c(const uint8_t *bytes, size_t count) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return crc_hardware(bytes, count);
#endif
  return crc_bitwise(bytes, count);
}
