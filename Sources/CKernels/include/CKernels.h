#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/// How the kernel of a direct convolution moves over its input.
typedef struct {
  /// The kernel's height and width: 2 to 7.
  ptrdiff_t extent;
  ptrdiff_t stride;
  /// The zeros that precede each row and column; as many follow as the last output needs.
  ptrdiff_t padding;
  /// The output's extents; its last row and column must reach into the padded input.
  ptrdiff_t rows, columns;
} ckernels_window;

/// The scratch of `ckernels_convolve_direct`.
size_t ckernels_direct_scratch(const ckernels_convolution *convolution,
                               const ckernels_window *window);

/// A convolution with bias as a product of matrices, for any stride, kernels of 2x2 to 7x7 and few
/// channels.
void ckernels_convolve_direct(ckernels_isa isa, const ckernels_convolution *convolution,
                              const ckernels_window *window, const float *input, float *output,
                              bool accumulate, float *scratch);

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

/// A GroupNorm over one image: sizes and parameters.
typedef struct {
  ptrdiff_t height, width, channels;
  /// Divides the channels.
  ptrdiff_t groups;
  /// Whether channel c belongs to group c % groups, not to group c / (channels / groups).
  bool interleaved;
  /// Whether x / (1 + e^-x) follows.
  bool silu;
  /// What is added to the variance.
  double epsilon;
  /// One value a channel.
  const float *gain, *bias;
  /// Null, or blocked activations of height >> shift x width >> shift positions: each normalized value
  /// is multiplied by the one and increased by the other, taken from the nearest position.
  const float *factors, *terms;
  int shift;
} ckernels_normalization;

/// GroupNorm with biased variance; `output` may be `input`.
void ckernels_group_norm(ckernels_isa isa, const ckernels_normalization *normalization,
                         const float *input, float *output, float *scratch);

/// Each channel's mean over the positions, and sqrt(unbiased variance + epsilon); both blocked with one
/// position. One position alone has no variance: its deviation is not a number.
void ckernels_channel_statistics(ckernels_isa isa, ptrdiff_t positions, ptrdiff_t channels,
                                 double epsilon, const float *input, float *means,
                                 float *deviations);

/// What `ckernels_activate` computes.
typedef enum {
  CKERNELS_RELU = 0,
  CKERNELS_SILU = 1,
  CKERNELS_TANH = 2,
  CKERNELS_SIGMOID = 3,
} ckernels_activation;

/// A function of each of `count` values, a multiple of 16; `output` may be `input`.
void ckernels_activate(ckernels_isa isa, ckernels_activation activation, ptrdiff_t count,
                       const float *input, float *output);

/// Adds `count` values, a multiple of 16, to those of `output`.
void ckernels_add(ckernels_isa isa, ptrdiff_t count, const float *input, float *output);

/// input * gain + bias, one value a channel, then SiLU where `silu`; `output` may be `input`.
void ckernels_scale_channels(ckernels_isa isa, ptrdiff_t positions, ptrdiff_t channels,
                             const float *gain, const float *bias, bool silu, const float *input,
                             float *output);

/// The mean or the maximum of each block of 2x2 positions; an odd last row or column is left out.
void ckernels_pool(ckernels_isa isa, bool maximum, ptrdiff_t height, ptrdiff_t width,
                   ptrdiff_t channels, const float *input, float *output);

/// Each position four times: to twice the extents.
void ckernels_upsample(ckernels_isa isa, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels,
                       const float *input, float *output);

/// Four blocked activations of `channels` channels, one after the other, to the four positions of each
/// 2x2 block: upper left, upper right, lower left, lower right.
void ckernels_depth_to_space(ckernels_isa isa, ptrdiff_t height, ptrdiff_t width,
                             ptrdiff_t channels, const float *input, float *output);

/// The scratch of `ckernels_attention`.
size_t ckernels_attention_scratch(ptrdiff_t tokens, ptrdiff_t channels);

/// Single-head attention over all positions: softmax(q k / sqrt(channels)) v.
///
/// `qkv` holds queries, keys and values one after the other, each blocked [channels / 16][tokens][16].
/// Queries are taken in tiles, so the scores never exist as a whole.
void ckernels_attention(ckernels_isa isa, ptrdiff_t tokens, ptrdiff_t channels, const float *qkv,
                        float *output, float *scratch);

// MARK: Nearest codes

/// The code with the largest score of each vector, the lowest of equal ones, and its score; the code with the
/// next largest.
///
/// A score is vector * code + bias[code]: with -|code|^2 / 2 as bias the largest belongs to the nearest code.
/// `vectors` are [count][dimensions]; `packed` are the codes [codes][dimensions] as `ckernels_pack_direct`
/// packs weights of one tap; `bias` holds one value a code and then -infinity up to a multiple of 32. Scores
/// are compared as they are made, so memory does not grow with the number of codes. A code is
/// UINT32_MAX where there is none; scores that are not above -infinity are never chosen.
void ckernels_nearest(ckernels_isa isa, ptrdiff_t count, ptrdiff_t dimensions, ptrdiff_t codes,
                      const float *vectors, const float *packed, const float *bias,
                      uint32_t *nearest, uint32_t *next, float *best);

/// All scores that `ckernels_nearest` compares: [count][codes rounded up to a multiple of 32].
void ckernels_scores(ckernels_isa isa, ptrdiff_t count, ptrdiff_t dimensions, ptrdiff_t codes,
                     const float *vectors, const float *packed, const float *bias, float *output);

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

// MARK: State spaces

#include "statespaces.h"

// MARK: Logits

#include "logits.h"
