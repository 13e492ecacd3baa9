#pragma once

#include <stdint.h>

#include "CKernels.h"

// Resampling of 8-bit pixels as Pillow does it: weights are fixed-point numbers with 22 fractional
// bits, each pass rounds to 8 bits. Integers only, so every path gives the same bits.

// Weights of one axis. Output i is clip((2²¹ + Σ_k input[first[i] + k] · weights[i · taps + k]) >> 22).
//
// `digits` are the same weights for byte products: each is digit 0 + 2⁸ digit 1 + 2¹⁶ digit 2, and
// digits are signed bytes, [outputs][taps / 16][3 digits][16 taps].
typedef struct {
  uint32_t outputs;
  uint32_t taps;  // a multiple of 16; the spare weights are 0
  const uint32_t *first;
  const int32_t *weights;
  const int8_t *digits;
} ckernels_resample_axis;

// Writes the digits, 3 bytes a weight, of `count` weights, a multiple of 16, below 2²² · 1.9 in size.
void ckernels_resample_digits(const int32_t *weights, uint64_t count, int8_t *digits);

// The horizontal pass of one row of 4-byte pixels. Loads reach 60 bytes behind the last tap at most.
void ckernels_resample_row(
  ckernels_isa isa, const ckernels_resample_axis *axis, const uint8_t *row, uint8_t *result);

// The vertical pass for one output row of `count` bytes, a multiple of 64: `taps` weights for the rows
// that start at `rows` and lie `stride` bytes apart.
void ckernels_resample_column(
  ckernels_isa isa, const int32_t *weights, uint32_t taps, const uint8_t *rows,
  uint64_t stride, uint64_t count, uint8_t *result);
