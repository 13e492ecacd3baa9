#include "CKernels.h"

#include <string.h>

// Vectors of fixed length: the compiler splits them into what the instruction set has.
typedef uint8_t bytes4 __attribute__((vector_size(4)));
typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef int32_t ints4 __attribute__((vector_size(16)));
typedef int32_t ints16 __attribute__((vector_size(64)));

enum { fraction_bits = 22 };

static inline __attribute__((always_inline)) void resample_row(
  const ckernels_resample_axis *axis, const uint8_t *row, uint8_t *result) {
  for (uint32_t i = 0; i < axis->outputs; i++) {
    const uint8_t *input = row + 4 * (uint64_t)axis->first[i];
    const int32_t *weights = axis->weights + (uint64_t)i * axis->taps;
    ints16 sums = {0};
    for (uint32_t k = 0; k < axis->taps; k += 4) {
      bytes16 pixels;
      ints4 w;
      memcpy(&pixels, input + 4 * (uint64_t)k, sizeof pixels);
      memcpy(&w, weights + k, sizeof w);
      ints16 repeated =
        __builtin_shufflevector(w, w, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
      sums += __builtin_convertvector(pixels, ints16) * repeated;
    }
    ints4 sum = __builtin_shufflevector(sums, sums, 0, 1, 2, 3)
      + __builtin_shufflevector(sums, sums, 4, 5, 6, 7)
      + __builtin_shufflevector(sums, sums, 8, 9, 10, 11)
      + __builtin_shufflevector(sums, sums, 12, 13, 14, 15);
    sum = (sum + (1 << (fraction_bits - 1))) >> fraction_bits;
    sum = __builtin_elementwise_min(__builtin_elementwise_max(sum, (ints4){0}),
                                    (ints4){255, 255, 255, 255});
    bytes4 pixel = __builtin_convertvector(sum, bytes4);
    memcpy(result + 4 * (uint64_t)i, &pixel, sizeof pixel);
  }
}

static inline __attribute__((always_inline)) void resample_column(
  const int32_t *weights, uint32_t taps, const uint8_t *rows, uint64_t stride, uint64_t count,
  uint8_t *result) {
  const ints16 half = (ints16){0} + (1 << (fraction_bits - 1));
  const ints16 most = (ints16){0} + 255;
  for (uint64_t x = 0; x < count; x += 64) {
    ints16 sums[4] = {half, half, half, half};
    for (uint32_t k = 0; k < taps; k++) {
      const uint8_t *input = rows + k * stride + x;
      for (int part = 0; part < 4; part++) {
        bytes16 bytes;
        memcpy(&bytes, input + 16 * part, sizeof bytes);
        sums[part] += __builtin_convertvector(bytes, ints16) * weights[k];
      }
    }
    for (int part = 0; part < 4; part++) {
      ints16 sum = sums[part] >> fraction_bits;
      sum = __builtin_elementwise_min(__builtin_elementwise_max(sum, (ints16){0}), most);
      bytes16 bytes = __builtin_convertvector(sum, bytes16);
      memcpy(result + x + 16 * part, &bytes, sizeof bytes);
    }
  }
}

// MARK: One function an instruction set

#define RESAMPLE(name, attributes)                                                              \
  attributes static void row_##name(                                                         \
    const ckernels_resample_axis *axis, const uint8_t *row, uint8_t *result) {               \
    resample_row(axis, row, result);                                                         \
  }                                                                                          \
  attributes static void column_##name(                                                      \
    const int32_t *weights, uint32_t taps, const uint8_t *rows, uint64_t stride,             \
    uint64_t count, uint8_t *result) {                                                       \
    resample_column(weights, taps, rows, stride, count, result);                             \
  }

RESAMPLE(baseline, )
// MARK: Byte products, where the CPU has them

#if defined(__x86_64__)
#include <immintrin.h>

#define VNNI __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))

// The sums of one output: lane 4 q + c holds channel c of taps 4 q to 4 q + 3 of each group of 16.
VNNI static inline __m512i row_sums(const ckernels_resample_axis *axis, const uint8_t *row, uint32_t i) {
  const uint8_t *input = row + 4 * (uint64_t)axis->first[i];
  const int8_t *digits = axis->digits + 3 * (uint64_t)i * axis->taps;
  const __m512i by_channel = _mm512_broadcast_i32x4(
    _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  const __m512i repeat = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
  __m512i low = _mm512_setzero_si512(), middle = low, high = low;
  for (uint32_t k = 0; k < axis->taps; k += 16, digits += 48) {
    __m512i pixels = _mm512_shuffle_epi8(_mm512_loadu_si512(input + 4 * (uint64_t)k), by_channel);
    __m512i digit[3];
    for (int d = 0; d < 3; d++) {
      __m128i packed = _mm_loadu_si128((const __m128i *)(digits + 16 * d));
      digit[d] = _mm512_permutexvar_epi32(repeat, _mm512_castsi128_si512(packed));
    }
    low = _mm512_dpbusd_epi32(low, pixels, digit[0]);
    middle = _mm512_dpbusd_epi32(middle, pixels, digit[1]);
    high = _mm512_dpbusd_epi32(high, pixels, digit[2]);
  }
  // Sums wrap around as 32-bit sums do; the whole fits.
  return _mm512_add_epi32(
    _mm512_add_epi32(low, _mm512_slli_epi32(middle, 8)), _mm512_slli_epi32(high, 16));
}

// Adds the four quarters of each of four sums: the result's quarter n is the sum of `s[n]`.
VNNI static inline __m512i four_quarters(const __m512i s[4]) {
  __m512i first = _mm512_add_epi32(
    _mm512_shuffle_i32x4(s[0], s[1], 0x44), _mm512_shuffle_i32x4(s[0], s[1], 0xEE));
  __m512i second = _mm512_add_epi32(
    _mm512_shuffle_i32x4(s[2], s[3], 0x44), _mm512_shuffle_i32x4(s[2], s[3], 0xEE));
  return _mm512_add_epi32(
    _mm512_shuffle_i32x4(first, second, 0x88), _mm512_shuffle_i32x4(first, second, 0xDD));
}

VNNI static void row_vnni(
  const ckernels_resample_axis *axis, const uint8_t *row, uint8_t *result) {
  const __m512i half = _mm512_set1_epi32(1 << (fraction_bits - 1));
  for (uint32_t i = 0; i < axis->outputs; i += 4) {
    uint32_t count = axis->outputs - i < 4 ? axis->outputs - i : 4;
    __m512i sums[4];
    for (uint32_t n = 0; n < 4; n++) sums[n] = row_sums(axis, row, n < count ? i + n : i);
    __m512i sum = _mm512_srai_epi32(_mm512_add_epi32(four_quarters(sums), half), fraction_bits);
    __m128i pixels =
      _mm512_cvtusepi32_epi8(_mm512_max_epi32(sum, _mm512_setzero_si512()));
    _mm_mask_storeu_epi8(result + 4 * (uint64_t)i, (__mmask16)(0xFFFF >> (16 - 4 * count)), pixels);
  }
}

RESAMPLE(avx2, __attribute__((target("avx2"))))
RESAMPLE(avx512, __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))))
#endif

void ckernels_resample_digits(const int32_t *weights, uint64_t count, int8_t *digits) {
  for (uint64_t i = 0; i < count; i++) {
    int8_t *group = digits + i / 16 * 48 + i % 16;
    // Each digit is the remainder nearest to zero, so that the next one takes what is left.
    int32_t rest = weights[i];
    group[0] = (int8_t)rest;
    rest = (rest - group[0]) >> 8;
    group[16] = (int8_t)rest;
    group[32] = (int8_t)((rest - group[16]) >> 8);
  }
}

void ckernels_resample_row(
  ckernels_isa isa, const ckernels_resample_axis *axis, const uint8_t *row,
  uint8_t *result) {
  switch (isa) {
#if defined(__x86_64__)
    case CKERNELS_AVX512:
      if (__builtin_cpu_supports("avx512vnni")) row_vnni(axis, row, result);
      else row_avx512(axis, row, result);
      return;
    case CKERNELS_AVX2: row_avx2(axis, row, result); return;
#endif
    default: row_baseline(axis, row, result);
  }
}

void ckernels_resample_column(
  ckernels_isa isa, const int32_t *weights, uint32_t taps, const uint8_t *rows,
  uint64_t stride, uint64_t count, uint8_t *result) {
  switch (isa) {
#if defined(__x86_64__)
    case CKERNELS_AVX512:
      column_avx512(weights, taps, rows, stride, count, result);
      return;
    case CKERNELS_AVX2: column_avx2(weights, taps, rows, stride, count, result); return;
#endif
    default: column_baseline(weights, taps, rows, stride, count, result);
  }
}
