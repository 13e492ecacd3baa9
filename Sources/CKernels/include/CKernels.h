#pragma once
#include <stdbool.h>
#include <stddef.h>

// The hot loops of the networks: one source, compiled for each instruction set.
//
// Every path gives the same bits. Each output has its own accumulator, sums run in one fixed order,
// each multiply-add is fused (explicitly; contraction is off), and only IEEE operations are used.
//
// Activations of one image lie in blocks of 16 channels: [ceil(channels / 16)][height][width][16],
// called "blocked" below; the lanes of the last block beyond the channels are zero. Pointers to
// activations, packed weights and scratch are aligned to 64 bytes. Sizes are in floats. Nothing here
// allocates, starts threads or keeps state.

/// The instruction sets that a kernel is compiled for.
typedef enum {
  /// The compiler's baseline: NEON on Arm, one `fmaf` a lane on x86-64 (right, but slow).
  CKERNELS_BASELINE = 0,
  /// AVX2 with FMA: 8 lanes.
  CKERNELS_AVX2 = 1,
  /// AVX-512 F, DQ, BW, VL: 16 lanes.
  CKERNELS_AVX512 = 2,
} ckernels_isa;

/// Whether this CPU and this build have the instruction set.
bool ckernels_supports(ckernels_isa isa);

// MARK: Packing, once a network

/// A convolution of one image: sizes and packed parameters.
typedef struct {
  /// The input's extents.
  ptrdiff_t height, width;
  ptrdiff_t in_channels, out_channels;
  /// Packed by `ckernels_pack_direct` or `ckernels_pack_winograd`.
  const float *weights;
  /// One a channel, zeros beyond `out_channels` up to a multiple of 16.
  const float *bias;
} ckernels_convolution;

/// The floats that `ckernels_pack_direct` writes.
size_t ckernels_packed_direct_size(ptrdiff_t out_channels, ptrdiff_t in_channels, ptrdiff_t taps);

/// Packs weights [out_channels][in_channels][taps] (OIHW) as [out / 32][taps][in_channels][32].
void ckernels_pack_direct(ptrdiff_t out_channels, ptrdiff_t in_channels, ptrdiff_t taps,
                          const float *weights, float *packed);

/// The floats that `ckernels_pack_winograd` writes.
size_t ckernels_packed_winograd_size(ptrdiff_t out_channels, ptrdiff_t in_channels);

/// Transforms 3x3 weights (OIHW) for F(4x4, 3x3), in double: [36][out / 32][in_channels][32].
void ckernels_pack_winograd(ptrdiff_t out_channels, ptrdiff_t in_channels, const float *weights,
                            float *packed);

// MARK: Convolutions, from blocked to blocked

/// A 1x1 convolution with bias; `accumulate` adds the result to what `output` holds.
void ckernels_convolve_1x1(ckernels_isa isa, const ckernels_convolution *convolution,
                           const float *input, float *output, bool accumulate);

/// The scratch of `ckernels_convolve_3x3`.
size_t ckernels_3x3_scratch(const ckernels_convolution *convolution, ptrdiff_t stride,
                            ptrdiff_t padding);

/// A 3x3 convolution with bias as a product of matrices, for any stride and few channels.
///
/// `padding` zeros precede each row and column; as many follow as the last output needs. The output has
/// ceil((extent - 2 + 2 * padding) / stride) rows and columns for stride 1, and for stride 2
/// floor(extent / 2) without padding in front (taming's asymmetric rule), ceil(extent / 2) with 1.
void ckernels_convolve_3x3(ckernels_isa isa, const ckernels_convolution *convolution,
                           ptrdiff_t stride, ptrdiff_t padding, const float *input, float *output,
                           bool accumulate, float *scratch);

/// The output extent of `ckernels_convolve_3x3`.
ptrdiff_t ckernels_3x3_extent(ptrdiff_t extent, ptrdiff_t stride, ptrdiff_t padding);

/// The scratch of `ckernels_convolve_winograd`.
size_t ckernels_winograd_scratch(const ckernels_convolution *convolution);

/// A 3x3 convolution of stride 1 and padding 1 with bias by Winograd's F(4x4, 3x3).
///
/// With `upsample` the input is first doubled in both directions (nearest), without being stored: the
/// output then has 2 height x 2 width positions.
void ckernels_convolve_winograd(ckernels_isa isa, const ckernels_convolution *convolution,
                                bool upsample, const float *input, float *output, bool accumulate,
                                float *scratch);

// MARK: Normalization and attention

/// The scratch of `ckernels_group_norm`.
size_t ckernels_group_norm_scratch(ptrdiff_t channels);

/// GroupNorm with biased variance, then SiLU where `silu`; `groups` divides `channels`.
///
/// `gain` and `bias` hold one value a channel. `output` may be `input`.
void ckernels_group_norm(ckernels_isa isa, ptrdiff_t positions, ptrdiff_t channels,
                         ptrdiff_t groups, double epsilon, const float *gain, const float *bias,
                         bool silu, const float *input, float *output, float *scratch);

/// The scratch of `ckernels_attention`.
size_t ckernels_attention_scratch(ptrdiff_t tokens, ptrdiff_t channels);

/// Single-head attention over all positions: softmax(q k / sqrt(channels)) v.
///
/// `qkv` holds queries, keys and values one after the other, each blocked [channels / 16][tokens][16].
/// Queries are taken in tiles, so the scores never exist as a whole.
void ckernels_attention(ckernels_isa isa, ptrdiff_t tokens, ptrdiff_t channels, const float *qkv,
                        float *output, float *scratch);

/// e^x for each of `count` values, flushed to 0 below -87.3 and capped above 88.3 (for tests).
void ckernels_exp(ckernels_isa isa, ptrdiff_t count, const float *input, float *output);

// MARK: Layout

/// Channels last [positions][channels] to blocked.
void ckernels_to_blocks(ckernels_isa isa, ptrdiff_t positions, ptrdiff_t channels,
                        const float *input, float *output);

/// Blocked to channels last [positions][channels].
void ckernels_from_blocks(ckernels_isa isa, ptrdiff_t positions, ptrdiff_t channels,
                          const float *input, float *output);

/// One step of the Haar transform, channels last: [h][w][c] to [h / 2][w / 2][4 c], bands LL, LH, HL,
/// HH, each a signed mean of the 2x2 block; height and width are even.
void ckernels_haar(ckernels_isa isa, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels,
                   const float *input, float *output);

/// The inverse of `ckernels_haar`: [h][w][4 c] to [2 h][2 w][c].
void ckernels_inverse_haar(ckernels_isa isa, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels,
                           const float *input, float *output);

// MARK: Measuring

/// Runs `rounds` passes of independent fused multiply-adds in registers; returns their number of
/// floating-point operations (2 each). `sink` keeps the loop alive.
double ckernels_fma_loop(ckernels_isa isa, ptrdiff_t rounds, float *sink);

// MARK: Pictures

#include "resample.h"
