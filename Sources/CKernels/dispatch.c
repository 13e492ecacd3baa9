#include "kernels/kernels.h"

bool ckernels_supports(ckernels_isa isa) {
#if defined(__x86_64__)
  switch (isa) {
    case CKERNELS_BASELINE: return true;
    case CKERNELS_AVX2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case CKERNELS_AVX512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  }
  return false;
#else
  return isa == CKERNELS_BASELINE;
#endif
}

static const struct kernels *kernels_of(ckernels_isa isa) {
#if defined(__x86_64__)
  if (isa == CKERNELS_AVX512) return &kernels_avx512;
  if (isa == CKERNELS_AVX2) return &kernels_avx2;
#else
  (void)isa;
#endif
  return &kernels_baseline;
}

// MARK: Sizes, the same for every instruction set

size_t ckernels_direct_scratch(const ckernels_convolution *c, const ckernels_window *window) {
  const ptrdiff_t rows = (strip_rows(window->columns) - 1) * window->stride + window->extent;
  const ptrdiff_t columns = (window->columns - 1) * window->stride + window->extent;
  return (size_t)(blocks_of(c->in_channels) * rows * columns * LANES);
}

size_t ckernels_winograd_scratch(const ckernels_convolution *c) {
  const ptrdiff_t tiles = winograd_tiles(c->in_channels);
  return (size_t)(36 * (winograd_plane(blocks_of(c->in_channels), tiles) +
                        winograd_plane(WINOGRAD_COLUMNS / LANES, tiles)));
}

size_t ckernels_group_norm_scratch(ptrdiff_t channels) {
  // Means and squares in doubles, scales and shifts in floats.
  return (size_t)(6 * blocks_of(channels) * LANES);
}

size_t ckernels_attention_scratch(ptrdiff_t tokens, ptrdiff_t channels) {
  const ptrdiff_t columns = blocks_of(tokens) * LANES;
  return (size_t)((columns + PANEL - 1) / PANEL * PANEL * channels +
                  (blocks_of(channels) + 1) / 2 * PANEL * tokens +
                  smaller(QUERIES, tokens) * columns);
}

// MARK: One call each

void ckernels_convolve_1x1(ckernels_isa isa, const ckernels_convolution *convolution,
                           const float *input, float *output, bool accumulate) {
  kernels_of(isa)->convolve_1x1(convolution, input, output, accumulate);
}

void ckernels_convolve_direct(ckernels_isa isa, const ckernels_convolution *convolution,
                              const ckernels_window *window, const float *input, float *output,
                              bool accumulate, float *scratch) {
  kernels_of(isa)->convolve_direct(convolution, window, input, output, accumulate, scratch);
}

void ckernels_convolve_winograd(ckernels_isa isa, const ckernels_convolution *convolution,
                                bool upsample, const float *input, float *output, bool accumulate,
                                float *scratch) {
  kernels_of(isa)->convolve_winograd(convolution, upsample, input, output, accumulate, scratch);
}

void ckernels_group_norm(ckernels_isa isa, const ckernels_normalization *normalization,
                         const float *input, float *output, float *scratch) {
  kernels_of(isa)->group_norm(normalization, input, output, scratch);
}

void ckernels_channel_statistics(ckernels_isa isa, ptrdiff_t positions, ptrdiff_t channels,
                                 double epsilon, const float *input, float *means,
                                 float *deviations) {
  kernels_of(isa)->channel_statistics(positions, channels, epsilon, input, means, deviations);
}

void ckernels_activate(ckernels_isa isa, ckernels_activation activation, ptrdiff_t count,
                       const float *input, float *output) {
  kernels_of(isa)->activate(activation, count, input, output);
}

void ckernels_add(ckernels_isa isa, ptrdiff_t count, const float *input, float *output) {
  kernels_of(isa)->add(count, input, output);
}

void ckernels_scale_channels(ckernels_isa isa, ptrdiff_t positions, ptrdiff_t channels,
                             const float *gain, const float *bias, bool silu, const float *input,
                             float *output) {
  kernels_of(isa)->scale_channels(positions, channels, gain, bias, silu, input, output);
}

void ckernels_pool(ckernels_isa isa, bool maximum, ptrdiff_t height, ptrdiff_t width,
                   ptrdiff_t channels, const float *input, float *output) {
  kernels_of(isa)->pool(maximum, height, width, channels, input, output);
}

void ckernels_upsample(ckernels_isa isa, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels,
                       const float *input, float *output) {
  kernels_of(isa)->upsample(height, width, channels, input, output);
}

void ckernels_depth_to_space(ckernels_isa isa, ptrdiff_t height, ptrdiff_t width,
                             ptrdiff_t channels, const float *input, float *output) {
  kernels_of(isa)->depth_to_space(height, width, channels, input, output);
}

void ckernels_attention(ckernels_isa isa, ptrdiff_t tokens, ptrdiff_t channels, const float *qkv,
                        float *output, float *scratch) {
  kernels_of(isa)->attention(tokens, channels, qkv, output, scratch);
}

void ckernels_nearest(ckernels_isa isa, ptrdiff_t count, ptrdiff_t dimensions, ptrdiff_t codes,
                      const float *vectors, const float *packed, const float *bias,
                      uint32_t *nearest, uint32_t *next, float *best) {
  kernels_of(isa)->nearest(count, dimensions, codes, vectors, packed, bias, nearest, next, best);
}

void ckernels_scores(ckernels_isa isa, ptrdiff_t count, ptrdiff_t dimensions, ptrdiff_t codes,
                     const float *vectors, const float *packed, const float *bias, float *output) {
  kernels_of(isa)->scores(count, dimensions, codes, vectors, packed, bias, output);
}

void ckernels_exp(ckernels_isa isa, ptrdiff_t count, const float *input, float *output) {
  kernels_of(isa)->exponential(count, input, output);
}

void ckernels_to_blocks(ckernels_isa isa, ptrdiff_t positions, ptrdiff_t channels,
                        const float *input, float *output) {
  kernels_of(isa)->to_blocks(positions, channels, input, output);
}

void ckernels_from_blocks(ckernels_isa isa, ptrdiff_t positions, ptrdiff_t channels,
                          const float *input, float *output) {
  kernels_of(isa)->from_blocks(positions, channels, input, output);
}

void ckernels_haar(ckernels_isa isa, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels,
                   const float *input, float *output) {
  kernels_of(isa)->haar(height, width, channels, input, output);
}

void ckernels_inverse_haar(ckernels_isa isa, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels,
                           const float *input, float *output) {
  kernels_of(isa)->inverse_haar(height, width, channels, input, output);
}

double ckernels_fma_loop(ckernels_isa isa, ptrdiff_t rounds, float *sink) {
  return kernels_of(isa)->fma_loop(rounds, sink);
}
