#pragma once
#include <stdint.h>

#include "CKernels.h"

// Rows of logits: widened, scanned and sieved. Every instruction set gives the same bits.

/// How logits are stored.
typedef enum {
  CKERNELS_LOGITS_HALF = 0,
  CKERNELS_LOGITS_BFLOAT16 = 1,
  CKERNELS_LOGITS_FLOAT = 2,
} ckernels_logits_type;

/// Widens a row to floats and returns its largest value; NaN where a value is NaN or plus infinity.
float ckernels_logits_widen(ckernels_isa isa, ckernels_logits_type type, ptrdiff_t count,
                            const void *row, float *floats);

/// The sum of e^((x - top) scale) over a row whose largest value is `top`.
double ckernels_logits_sum(ckernels_isa isa, ptrdiff_t count, const float *floats, float top,
                           float scale);

/// Copies the values above `limit` with their places, in order; returns how many there are.
ptrdiff_t ckernels_logits_above(ckernels_isa isa, ptrdiff_t count, const float *floats, float limit,
                                uint32_t *places, float *values);
