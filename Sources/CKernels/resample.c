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
#if defined(__x86_64__)
RESAMPLE(avx2, __attribute__((target("avx2"))))
RESAMPLE(avx512, __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))))
#endif

void ckernels_resample_row(
  ckernels_isa isa, const ckernels_resample_axis *axis, const uint8_t *row,
  uint8_t *result) {
  switch (isa) {
#if defined(__x86_64__)
    case CKERNELS_AVX512: row_avx512(axis, row, result); return;
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
