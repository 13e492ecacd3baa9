#pragma once

#include <stdint.h>

#include "CKernels.h"

// Resampling of 8-bit pixels as Pillow does it: weights are fixed-point numbers with 22 fractional
// bits, each pass rounds to 8 bits. Integers only, so every path gives the same bits.

// Weights of one axis. Output i is clip((2²¹ + Σ_k input[first[i] + k] · weights[i · taps + k]) >> 22).
typedef struct {
  uint32_t outputs;
  uint32_t taps;  // a multiple of 4; the spare weights are 0
  const uint32_t *first;
  const int32_t *weights;
} ckernels_resample_axis;

// The horizontal pass of one row of 4-byte pixels. A load may reach 16 bytes behind the last tap.
void ckernels_resample_row(
  ckernels_isa isa, const ckernels_resample_axis *axis, const uint8_t *row,
  uint8_t *result);

// The vertical pass for one output row of `count` bytes, a multiple of 64: `taps` weights for the rows
// that start at `rows` and lie `stride` bytes apart.
void ckernels_resample_column(
  ckernels_isa isa, const int32_t *weights, uint32_t taps, const uint8_t *rows,
  uint64_t stride, uint64_t count, uint8_t *result);
