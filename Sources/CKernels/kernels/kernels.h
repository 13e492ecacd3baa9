#pragma once
#include "../include/CKernels.h"

#include <string.h>

// What the files of one instruction set share. `vector.h` and what follows it are included once for
// each instruction set; this header is not.

/// Channels in a block, and the lanes of every sum over positions.
enum { LANES = 16 };
/// Columns of a panel of packed weights.
enum { PANEL = 32 };

/// The number of blocks of 16 that hold `channels`.
static inline ptrdiff_t blocks_of(ptrdiff_t channels) { return (channels + LANES - 1) / LANES; }

static inline ptrdiff_t smaller(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
static inline ptrdiff_t larger(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }

/// Tiles of 4x4 outputs that `convolve_winograd` transforms at a time: what keeps their transforms in
/// the second-level cache, in steps of the microkernel's 8 rows.
static inline ptrdiff_t winograd_tiles(ptrdiff_t in_channels) {
  ptrdiff_t fitting = (ptrdiff_t)(640 * 1024) / (36 * 4 * LANES * blocks_of(in_channels));
  return smaller(64, larger(16, fitting / 8 * 8));
}

/// Output channels whose products `convolve_winograd` holds before it transforms them back.
enum { WINOGRAD_COLUMNS = 64 };

/// Floats from one of the 36 planes of a Winograd transform to the next: one cache line more than the
/// plane, so that the planes of one tile do not fall into one cache set.
static inline ptrdiff_t winograd_plane(ptrdiff_t blocks, ptrdiff_t tiles) {
  return blocks * tiles * LANES + LANES;
}

/// The widest kernel of `convolve_direct`.
enum { LARGEST_WINDOW = 7 };

/// Output rows that `convolve_direct` treats at a time: 64 positions or one row.
static inline ptrdiff_t strip_rows(ptrdiff_t columns) { return larger(1, 64 / columns); }

/// Queries that `attention` treats at a time.
enum { QUERIES = 48 };

/// The kernels of one instruction set; the meaning of each is in CKernels.h.
struct kernels {
  void (*convolve_1x1)(const ckernels_convolution *, const float *, float *, bool);
  void (*convolve_direct)(const ckernels_convolution *, const ckernels_window *, const float *,
                          float *, bool, float *);
  void (*convolve_winograd)(const ckernels_convolution *, bool, const float *, float *, bool,
                            float *);
  void (*group_norm)(const ckernels_normalization *, const float *, float *, float *);
  void (*channel_statistics)(ptrdiff_t, ptrdiff_t, double, const float *, float *, float *);
  void (*activate)(ckernels_activation, ptrdiff_t, const float *, float *);
  void (*add)(ptrdiff_t, const float *, float *);
  void (*scale_channels)(ptrdiff_t, ptrdiff_t, const float *, const float *, bool, const float *,
                         float *);
  void (*pool)(bool, ptrdiff_t, ptrdiff_t, ptrdiff_t, const float *, float *);
  void (*upsample)(ptrdiff_t, ptrdiff_t, ptrdiff_t, const float *, float *);
  void (*depth_to_space)(ptrdiff_t, ptrdiff_t, ptrdiff_t, const float *, float *);
  void (*attention)(ptrdiff_t, ptrdiff_t, const float *, float *, float *);
  void (*nearest)(ptrdiff_t, ptrdiff_t, ptrdiff_t, const float *, const float *, const float *,
                  uint32_t *, uint32_t *, float *);
  void (*scores)(ptrdiff_t, ptrdiff_t, ptrdiff_t, const float *, const float *, const float *,
                 float *);
  void (*exponential)(ptrdiff_t, const float *, float *);
  void (*to_blocks)(ptrdiff_t, ptrdiff_t, const float *, float *);
  void (*from_blocks)(ptrdiff_t, ptrdiff_t, const float *, float *);
  void (*haar)(ptrdiff_t, ptrdiff_t, ptrdiff_t, const float *, float *);
  void (*inverse_haar)(ptrdiff_t, ptrdiff_t, ptrdiff_t, const float *, float *);
  double (*fma_loop)(ptrdiff_t, float *);
};

extern const struct kernels kernels_baseline;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2;
extern const struct kernels kernels_avx512;
#endif
