#include "include/logits.h"

#include <string.h>

#define WIDTH 16

#define NAME(name) logits_##name##_baseline
#include "kernels/vector.h"
#include "kernels/logits.h"
#undef NAME

#if defined(__x86_64__)
#define NAME(name) logits_##name##_avx2
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#include "kernels/vector.h"
#include "kernels/logits.h"
#pragma clang attribute pop
#undef NAME

#define NAME(name) logits_##name##_avx512
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), apply_to = function)
#include "kernels/vector.h"
#include "kernels/logits.h"
#pragma clang attribute pop
#undef NAME

#define CALL(isa, function, ...)                                                     \
  switch (isa) {                                                                     \
    case CKERNELS_AVX512: return logits_##function##_avx512(__VA_ARGS__);            \
    case CKERNELS_AVX2: return logits_##function##_avx2(__VA_ARGS__);                \
    case CKERNELS_BASELINE: break;                                                   \
  }                                                                                  \
  return logits_##function##_baseline(__VA_ARGS__);
#else
#define CALL(isa, function, ...) (void)(isa); return logits_##function##_baseline(__VA_ARGS__);
#endif

float ckernels_logits_widen(ckernels_isa isa, ckernels_logits_type type, ptrdiff_t count,
                            const void *row, float *floats) {
  CALL(isa, logits_widen, type, count, row, floats)
}

double ckernels_logits_sum(ckernels_isa isa, ptrdiff_t count, const float *floats, float top,
                           float scale) {
  CALL(isa, logits_sum, count, floats, top, scale)
}

ptrdiff_t ckernels_logits_above(ckernels_isa isa, ptrdiff_t count, const float *floats, float limit,
                                uint32_t *places, float *values) {
  CALL(isa, logits_above, count, floats, limit, places, values)
}
