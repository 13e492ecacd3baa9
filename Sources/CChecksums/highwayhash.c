#include "CChecksums.h"

#include <string.h>

// HighwayHash as its authors specify it: four lanes of 64 bits, 32 bytes a step.
typedef struct {
  uint64_t v0[4], v1[4], mul0[4], mul1[4];
} state;

static const uint64_t first[4] = {
    0xdbe6d5d5fe4cce2f, 0xa4093822299f31d0, 0x13198a2e03707344, 0x243f6a8885a308d3};
static const uint64_t second[4] = {
    0x3bd39e10cb0ef593, 0xc0acf169b5f18a8c, 0xbe5466cf34e90c6c, 0x452821e638d01377};

static uint64_t rotate(uint64_t word) { return (word >> 32) | (word << 32); }

// Puts bytes of two words into other places and adds the result.
static void zip_and_add(uint64_t v1, uint64_t v0, uint64_t *add1, uint64_t *add0) {
  *add0 += (((v0 & 0xff000000) | (v1 & 0xff00000000)) >> 24) |
           (((v0 & 0xff0000000000) | (v1 & 0xff000000000000)) >> 16) | (v0 & 0xff0000) |
           ((v0 & 0xff00) << 32) | ((v1 & 0xff00000000000000) >> 8) | (v0 << 56);
  *add1 += (((v1 & 0xff000000) | (v0 & 0xff00000000)) >> 24) | (v1 & 0xff0000) |
           ((v1 & 0xff0000000000) >> 16) | ((v1 & 0xff00) << 24) | ((v0 & 0xff000000000000) >> 8) |
           ((v1 & 0xff) << 48) | (v0 & 0xff00000000000000);
}

static void update(state *s, const uint64_t lanes[4]) {
  for (int i = 0; i < 4; i++) {
    s->v1[i] += s->mul0[i] + lanes[i];
    s->mul0[i] ^= (s->v1[i] & 0xffffffff) * (s->v0[i] >> 32);
    s->v0[i] += s->mul1[i];
    s->mul1[i] ^= (s->v0[i] & 0xffffffff) * (s->v1[i] >> 32);
  }
  zip_and_add(s->v1[1], s->v1[0], &s->v0[1], &s->v0[0]);
  zip_and_add(s->v1[3], s->v1[2], &s->v0[3], &s->v0[2]);
  zip_and_add(s->v0[1], s->v0[0], &s->v1[1], &s->v1[0]);
  zip_and_add(s->v0[3], s->v0[2], &s->v1[3], &s->v1[2]);
}

static void update_packet(state *s, const uint8_t *packet) {
  uint64_t lanes[4];
  memcpy(lanes, packet, 32);
  update(s, lanes);
}

static void update_remainder(state *s, const uint8_t *bytes, size_t count) {
  uint8_t packet[32] = {0};
  size_t in_words = count & ~(size_t)3;
  size_t rest = count & 3;
  for (int i = 0; i < 4; i++) s->v0[i] += ((uint64_t)count << 32) + count;
  for (int i = 0; i < 4; i++) {
    uint32_t low = (uint32_t)s->v1[i], high = (uint32_t)(s->v1[i] >> 32);
    low = (low << count) | (low >> (32 - count));
    high = (high << count) | (high >> (32 - count));
    s->v1[i] = (uint64_t)high << 32 | low;
  }
  memcpy(packet, bytes, in_words);
  if (count & 16) {
    for (int i = 0; i < 4; i++) packet[28 + i] = bytes[count - 4 + (size_t)i];
  } else if (rest > 0) {
    packet[16] = bytes[in_words];
    packet[17] = bytes[in_words + (rest >> 1)];
    packet[18] = bytes[count - 1];
  }
  update_packet(s, packet);
}

uint64_t cchecksums_riegeli(const uint8_t *bytes, size_t count) {
  // "Riegeli/records\n" twice, as little-endian words.
  static const uint64_t key[4] = {
      0x2f696c6567656952, 0x0a7364726f636572, 0x2f696c6567656952, 0x0a7364726f636572};
  state s;
  for (int i = 0; i < 4; i++) {
    s.mul0[i] = first[i];
    s.mul1[i] = second[i];
    s.v0[i] = first[i] ^ key[i];
    s.v1[i] = second[i] ^ rotate(key[i]);
  }
  while (count >= 32) {
    update_packet(&s, bytes);
    bytes += 32;
    count -= 32;
  }
  if (count > 0) update_remainder(&s, bytes, count);
  for (int round = 0; round < 4; round++) {
    uint64_t permuted[4] = {rotate(s.v0[2]), rotate(s.v0[3]), rotate(s.v0[0]), rotate(s.v0[1])};
    update(&s, permuted);
  }
  return s.v0[0] + s.v1[0] + s.mul0[0] + s.mul1[0];
}
