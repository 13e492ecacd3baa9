// Runs every kernel on odd shapes and prints one line each: name, sizes, a hash of the output's bits.
//
//   bits 0|1|2    the instruction set, as CKernels.h numbers them; exit code 2 where there is none such
//
// Any two instruction sets, on any two processors, must print the same.
#include "CKernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ckernels_isa isa;

/// Numbers in [-1, 1): splitmix64 from a seed, the top 24 bits of each.
static float *drawn(size_t count, uint64_t seed) {
  float *values = aligned_alloc(64, (count * sizeof(float) + 127) / 64 * 64);
  for (size_t i = 0; i < count; ++i) {
    uint64_t x = seed += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    values[i] = (float)(x >> 40) / 8388608 - 1;
  }
  return values;
}

/// Activations with zeros in the lanes beyond the channels.
static float *blocked(ptrdiff_t positions, ptrdiff_t channels, uint64_t seed) {
  float *plain = drawn((size_t)(positions * channels), seed);
  float *values = drawn((size_t)((channels + 15) / 16 * 16 * positions), 0);
  memset(values, 0, (size_t)((channels + 15) / 16 * 16 * positions) * sizeof(float));
  for (ptrdiff_t p = 0; p < positions; ++p)
    for (ptrdiff_t c = 0; c < channels; ++c)
      values[(c / 16 * positions + p) * 16 + c % 16] = plain[p * channels + c];
  free(plain);
  return values;
}

static float *padded(ptrdiff_t count, uint64_t seed) {
  float *values = drawn((size_t)((count + 31) / 32 * 32), seed);
  memset(values + count, 0, (size_t)((count + 31) / 32 * 32 - count) * sizeof(float));
  return values;
}

static void report(const char *name, const void *output, size_t bytes, ptrdiff_t a, ptrdiff_t b,
                   ptrdiff_t c, ptrdiff_t d) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < bytes; ++i) hash = (hash ^ ((const uint8_t *)output)[i]) * 0x100000001b3u;
  printf("%-20s %4td %4td %4td %4td %016llx\n", name, a, b, c, d, (unsigned long long)hash);
}

static size_t floats(ptrdiff_t positions, ptrdiff_t channels) {
  return (size_t)((channels + 15) / 16 * 16 * positions);
}

static void convolutions(ptrdiff_t h, ptrdiff_t w, ptrdiff_t in, ptrdiff_t out) {
  float *input = blocked(h * w, in, 1), *bias = padded(out, 2);
  const struct { const char *name; ptrdiff_t extent, stride, padding; } direct[] = {
      {"conv 3x3", 3, 1, 1}, {"conv 3x3 / 2", 3, 2, 0}, {"conv 3x3 / 2 pad", 3, 2, 1},
      {"conv 7x7", 7, 1, 3}, {"conv 4x4 / 2", 4, 2, 1}};
  for (size_t i = 0; i < sizeof direct / sizeof *direct; ++i) {
    const ptrdiff_t e = direct[i].extent, s = direct[i].stride, p = direct[i].padding;
    const ptrdiff_t rows = s == 1 ? h : h / 2, columns = s == 1 ? w : w / 2;
    if (rows < 1 || columns < 1) continue;
    float *weights = drawn((size_t)(out * in * e * e), 3);
    float *packed = drawn(ckernels_packed_direct_size(out, in, e * e), 0);
    ckernels_pack_direct(out, in, e * e, weights, packed);
    const ckernels_convolution c = {h, w, in, out, packed, bias};
    const ckernels_window window = {e, s, p, rows, columns};
    float *output = blocked(rows * columns, out, 4);
    float *scratch = drawn(ckernels_direct_scratch(&c, &window), 5);
    ckernels_convolve_direct(isa, &c, &window, input, output, i % 2, scratch);
    report(direct[i].name, output, floats(rows * columns, out) * 4, h, w, in, out);
    free(weights), free(packed), free(output), free(scratch);
  }
  float *weights = drawn((size_t)(out * in * 9), 6);
  float *packed = drawn(ckernels_packed_winograd_size(out, in), 0);
  ckernels_pack_winograd(out, in, weights, packed);
  const ckernels_convolution c = {h, w, in, out, packed, bias};
  float *scratch = drawn(ckernels_winograd_scratch(&c), 7);
  for (int upsample = 0; upsample < 2; ++upsample) {
    const ptrdiff_t positions = h * w * (upsample ? 4 : 1);
    float *output = blocked(positions, out, 8);
    ckernels_convolve_winograd(isa, &c, upsample, input, output, !upsample, scratch);
    report(upsample ? "winograd doubled" : "winograd", output, floats(positions, out) * 4, h, w, in, out);
    free(output);
  }
  float *pointwise = drawn(ckernels_packed_direct_size(out, in, 1), 0);
  ckernels_pack_direct(out, in, 1, weights, pointwise);
  const ckernels_convolution one = {h, w, in, out, pointwise, bias};
  float *output = blocked(h * w, out, 9);
  ckernels_convolve_1x1(isa, &one, input, output, true);
  report("conv 1x1", output, floats(h * w, out) * 4, h, w, in, out);
  free(weights), free(packed), free(scratch), free(pointwise), free(output), free(input), free(bias);
}

static void normalization(ptrdiff_t h, ptrdiff_t w, ptrdiff_t channels, ptrdiff_t groups) {
  float *input = blocked(h * w, channels, 1), *output = blocked(h * w, channels, 2);
  float *gain = padded(channels, 3), *bias = padded(channels, 4);
  float *scratch = drawn(ckernels_group_norm_scratch(channels), 5);
  for (int i = 0; i < 4; ++i) {
    const ckernels_normalization n = {.height = h, .width = w, .channels = channels, .groups = groups,
                                      .interleaved = i / 2, .silu = i % 2, .epsilon = 1e-6,
                                      .gain = gain, .bias = bias};
    ckernels_group_norm(isa, &n, input, output, scratch);
    report(i % 2 ? "norm silu" : "norm", output, floats(h * w, channels) * 4, h, w, channels, groups);
  }
  for (int shift = 0; shift < 3; ++shift) {
    const ptrdiff_t condition = (h >> shift) * (w >> shift);
    if ((h | w) & ((1 << shift) - 1)) continue;
    float *factors = blocked(condition, channels, 6), *terms = blocked(condition, channels, 7);
    const ckernels_normalization n = {.height = h, .width = w, .channels = channels, .groups = groups,
                                      .silu = shift != 1, .epsilon = 1e-6, .gain = gain, .bias = bias,
                                      .factors = factors, .terms = terms, .shift = shift};
    ckernels_group_norm(isa, &n, input, output, scratch);
    report("spatial norm", output, floats(h * w, channels) * 4, h, w, channels, shift);
    free(factors), free(terms);
  }
  float *means = padded(channels, 0), *deviations = padded(channels, 0);
  ckernels_channel_statistics(isa, h * w, channels, 1e-6, input, means, deviations);
  report("channel means", means, (size_t)channels * 4, h, w, channels, 0);
  report("channel deviations", deviations, (size_t)channels * 4, h, w, channels, 0);
  ckernels_scale_channels(isa, h * w, channels, gain, bias, true, input, output);
  report("scaled channels", output, floats(h * w, channels) * 4, h, w, channels, 0);
  free(input), free(output), free(gain), free(bias), free(scratch), free(means), free(deviations);
}

static void attention(ptrdiff_t tokens, ptrdiff_t channels) {
  const size_t part = floats(tokens, channels);
  float *qkv = drawn(3 * part, 0), *output = drawn(part, 1);
  for (int i = 0; i < 3; ++i) {
    float *values = blocked(tokens, channels, (uint64_t)i);
    memcpy(qkv + (size_t)i * part, values, part * sizeof(float));
    free(values);
  }
  float *scratch = drawn(ckernels_attention_scratch(tokens, channels), 2);
  ckernels_attention(isa, tokens, channels, qkv, output, scratch);
  report("attention", output, part * 4, tokens, channels, 0, 0);
  free(qkv), free(output), free(scratch);
}

static void unit(float *rows, ptrdiff_t count, ptrdiff_t dimensions) {
  for (ptrdiff_t i = 0; i < count; ++i) {
    double square = 0;
    for (ptrdiff_t k = 0; k < dimensions; ++k)
      square += (double)rows[i * dimensions + k] * rows[i * dimensions + k];
    for (ptrdiff_t k = 0; k < dimensions; ++k)
      rows[i * dimensions + k] = (float)(rows[i * dimensions + k] / __builtin_sqrt(square));
  }
}

/// `rule` 0 is dot (no bias), 1 l2 (half the squared norms), 2 cosine (rows and vectors of norm 1), 3 l2 over
/// codes of which each is there twice, 4 dot with scores that overflow or are no numbers.
static void codes(int rule, ptrdiff_t count, ptrdiff_t dimensions, ptrdiff_t codes) {
  float *vectors = drawn((size_t)(count * dimensions), 1), *rows = drawn((size_t)(codes * dimensions), 2);
  if (rule == 3)
    for (ptrdiff_t i = 1; i < codes; i += 2)
      memcpy(rows + i * dimensions, rows + (i - 1) * dimensions, (size_t)dimensions * sizeof(float));
  if (rule == 4)
    for (ptrdiff_t i = 0; i < codes; i += 3)
      rows[i * dimensions] = i % 2 ? __builtin_nanf("") : 3e38f, vectors[i % count * dimensions] = 3e38f;
  if (rule == 2) unit(vectors, count, dimensions), unit(rows, codes, dimensions);
  float *packed = drawn(ckernels_packed_direct_size(codes, dimensions, 1), 0);
  const ptrdiff_t columns = (codes + 31) / 32 * 32;
  float *bias = drawn((size_t)columns, 3), *output = drawn((size_t)(count * columns), 4);
  for (ptrdiff_t i = 0; i < columns; ++i) {
    float square = 0;
    for (ptrdiff_t k = 0; i < codes && k < dimensions; ++k)
      square = __builtin_fmaf(rows[i * dimensions + k], rows[i * dimensions + k], square);
    bias[i] = i >= codes ? -__builtin_inff() : rule % 2 ? -square / 2 : 0;
  }
  ckernels_pack_direct(codes, dimensions, 1, rows, packed);
  uint32_t *nearest = calloc((size_t)count, 4), *next = calloc((size_t)count, 4);
  float *best = drawn((size_t)count, 5);
  ckernels_nearest(isa, count, dimensions, codes, vectors, packed, bias, nearest, next, best);
  report("nearest", nearest, (size_t)count * 4, count, dimensions, codes, rule);
  report("next nearest", next, (size_t)count * 4, count, dimensions, codes, rule);
  report("best scores", best, (size_t)count * 4, count, dimensions, codes, rule);
  // Which of the two forms of what is no number comes out belongs to the processor.
  if (rule < 4) {
    ckernels_scores(isa, count, dimensions, codes, vectors, packed, bias, output);
    report("scores", output, (size_t)(count * columns) * 4, count, dimensions, codes, rule);
  }
  free(vectors), free(rows), free(packed), free(bias), free(output), free(nearest), free(next), free(best);
}

static void layouts(ptrdiff_t h, ptrdiff_t w, ptrdiff_t channels) {
  float *input = drawn((size_t)(h * w * channels), 1);
  float *output = blocked(h * w, channels, 2), *wide = drawn(4 * floats(h * w, channels) + 64, 3);
  ckernels_to_blocks(isa, h * w, channels, input, output);
  report("to blocks", output, floats(h * w, channels) * 4, h, w, channels, 0);
  ckernels_from_blocks(isa, h * w, channels, output, input);
  report("from blocks", input, (size_t)(h * w * channels) * 4, h, w, channels, 0);
  if (h % 2 == 0 && w % 2 == 0) {
    ckernels_haar(isa, h, w, channels, input, wide);
    report("haar", wide, (size_t)(h * w * channels) * 4, h, w, channels, 0);
    ckernels_inverse_haar(isa, h / 2, w / 2, channels, wide, input);
    report("inverse haar", input, (size_t)(h * w * channels) * 4, h, w, channels, 0);
  }
  free(input), free(wide);
  wide = drawn(4 * floats(h * w, channels), 3);
  for (int maximum = 0; maximum < 2; ++maximum) {
    ckernels_pool(isa, maximum, h, w, channels, output, wide);
    report(maximum ? "maxima" : "means", wide, floats((h / 2) * (w / 2), channels) * 4, h, w, channels, 0);
  }
  ckernels_upsample(isa, h, w, channels, output, wide);
  report("doubled", wide, floats(4 * h * w, channels) * 4, h, w, channels, 0);
  float *quarters = drawn(4 * floats(h * w, channels), 4);
  ckernels_depth_to_space(isa, h, w, channels, quarters, wide);
  report("depth to space", wide, floats(4 * h * w, channels) * 4, h, w, channels, 0);
  ckernels_add(isa, (ptrdiff_t)floats(h * w, channels), quarters, output);
  report("sum", output, floats(h * w, channels) * 4, h, w, channels, 0);
  free(output), free(wide), free(quarters);
}

static void functions(ptrdiff_t count) {
  float *input = drawn((size_t)count, 1), *output = drawn((size_t)count, 2);
  for (ptrdiff_t i = 0; i < count; ++i) input[i] *= 95;
  const float edges[] = {0, -0.0f, __builtin_inff(), -__builtin_inff(), 1e-42f, -1e-42f, 3e38f, -3e38f, 87.5f, -87.5f};
  memcpy(input, edges, sizeof edges);
  ckernels_exp(isa, count, input, output);
  report("exp", output, (size_t)count * 4, count, 0, 0, 0);
  const ptrdiff_t rounded = count / 16 * 16;
  for (int i = CKERNELS_RELU; i <= CKERNELS_SIGMOID; ++i) {
    ckernels_activate(isa, (ckernels_activation)i, rounded, input, output);
    report("activation", output, (size_t)rounded * 4, rounded, i, 0, 0);
  }
  free(input), free(output);
}

static void resampling(uint32_t inputs, uint32_t outputs, uint32_t taps) {
  uint32_t *first = calloc(outputs, 4);
  int32_t *weights = calloc((size_t)outputs * taps, 4);
  int8_t *digits = calloc((size_t)outputs * taps, 3);
  float *numbers = drawn((size_t)outputs * taps + inputs * 4 + 128, 1);
  for (uint32_t i = 0; i < outputs; ++i) {
    first[i] = i * (inputs - taps) / outputs;
    for (uint32_t k = 0; k < taps; ++k) weights[i * taps + k] = (int32_t)(numbers[i * taps + k] * 700000);
  }
  ckernels_resample_digits(weights, (uint64_t)outputs * taps, digits);
  const ckernels_resample_axis axis = {outputs, taps, first, weights, digits};
  uint8_t *row = calloc(inputs * 4 + 128, 1), *result = calloc(outputs * 4 + 128, 1);
  for (uint32_t i = 0; i < inputs * 4; ++i) row[i] = (uint8_t)(int)(128 + 127 * numbers[i]);
  ckernels_resample_row(isa, &axis, row, result);
  report("resampled row", result, outputs * 4, inputs, outputs, taps, 0);
  const uint64_t count = outputs * 4 / 64 * 64, stride = (inputs * 4 + 64) / taps / 64 * 64;
  if (count > 0 && stride >= count) {
    ckernels_resample_column(isa, weights, taps, row, stride, count, result);
    report("resampled column", result, count, inputs, outputs, taps, 0);
  }
  free(first), free(weights), free(digits), free(numbers), free(row), free(result);
}

/// Rows of logits, in each type that they are stored in.
static void logits(ptrdiff_t count) {
  float *values = drawn((size_t)count, 1), *above = drawn((size_t)count, 2), *floats = drawn((size_t)count, 3);
  uint16_t *halves = calloc((size_t)count, 2);
  uint32_t *places = calloc((size_t)count, 4);
  for (ptrdiff_t i = 0; i < count; ++i) values[i] *= 20;
  for (ptrdiff_t i = 0; i < count; ++i) {
    uint32_t bits;
    memcpy(&bits, values + i, 4);
    halves[i] = (uint16_t)(bits >> 16);
  }
  for (int type = CKERNELS_LOGITS_HALF; type <= CKERNELS_LOGITS_FLOAT; ++type) {
    // The upper bits as float16 as well: exponents of the one are far from those of the other, not odder.
    if (type == CKERNELS_LOGITS_HALF)
      for (ptrdiff_t i = 0; i < count; ++i) halves[i] &= 0xbfff;
    const void *row = type == CKERNELS_LOGITS_FLOAT ? (const void *)values : halves;
    const float top = ckernels_logits_widen(isa, (ckernels_logits_type)type, count, row, floats);
    report("widened logits", floats, (size_t)count * 4, count, type, 0, 0);
    report("largest logit", &top, 4, count, type, 0, 0);
    const double sum = ckernels_logits_sum(isa, count, floats, top, 0.7f);
    report("sum of logits", &sum, 8, count, type, 0, 0);
    memset(places, 0, (size_t)count * 4);
    const ptrdiff_t found = ckernels_logits_above(isa, count, floats, top * 0.5f, places, above);
    report("logits above", places, (size_t)found * 4, count, type, found, 0);
    report("values above", above, (size_t)found * 4, count, type, found, 0);
  }
  free(values), free(above), free(floats), free(halves), free(places);
}

static double *doubles(ptrdiff_t count, uint64_t seed) {
  float *values = drawn((size_t)count, seed);
  double *result = calloc((size_t)count, sizeof(double));
  for (ptrdiff_t i = 0; i < count; ++i) result[i] = values[i] * 0.9;
  free(values);
  return result;
}

/// Steps of each kind over a signal of `count` samples.
static void signals(ptrdiff_t order, ptrdiff_t count) {
  const ptrdiff_t padded = (order + 7) / 8 * 8;
  double *samples = doubles(count, 1), *norms = doubles(padded, 2), *scales = doubles(padded, 3);
  double *rows = doubles(count * order, 4), *scratch = doubles(4 * (padded + 8), 5);
  double *matrix = doubles(padded * order, 6), *parts = doubles(9 * (order + 1), 7);
  for (ptrdiff_t n = 0; n < order; ++n) norms[n] = __builtin_sqrt(2.0 * (double)n + 1);
  for (ptrdiff_t i = 0; i < padded * order; ++i) matrix[i] /= (double)order;
  const ckernels_signal signal = {samples, 1, count, 0};
  const ckernels_rows written = {rows, order, 1, scales};
  const size_t bytes = (size_t)(count * order) * sizeof(double);
#define WALK(name, kind, call) \
  do { \
    double *state = calloc((size_t)padded, sizeof(double)); \
    memset(rows, 0, bytes); \
    call; \
    report(name, rows, bytes, order, count, kind, 0); \
    free(state); \
  } while (0)
  for (int kind = CKERNELS_LEGS_PAPER; kind <= CKERNELS_LEGS_OPTIMAL; ++kind)
    WALK("legs steps", kind, ckernels_legs_steps(isa, (ckernels_legs_convention)kind, order, norms, scratch, signal, state, written));
  WALK("dense steps", 0, ckernels_dense_steps(isa, order, padded, matrix, norms, scratch, signal, state, written));
  const ptrdiff_t part = order + 1;
  const ckernels_sweeps sweeps = {parts, parts + part, parts + 2 * part, parts + 3 * part, parts + 4 * part,
                                  parts + 5 * part, parts + 6 * part, parts + 7 * part};
  WALK("sweep steps", 0, ckernels_sweep_steps(isa, order, &sweeps, 0.9, 0.1, parts, parts + 8 * part, scratch, signal, state, written));
  if (order % 2 == 0)
    WALK("rotation steps", 0, ckernels_rotation_steps(isa, order, parts, parts + part, 0.5, 0.4, norms, scales, parts + 2 * part, signal, state, written));
#undef WALK
  double *values = doubles(2 * order, 8), *kernel = doubles(count, 9);
  double *room = doubles((ptrdiff_t)ckernels_vandermonde_scratch(order, count), 10);
  ckernels_vandermonde(isa, order, count, values, parts, kernel, room);
  report("vandermonde", kernel, (size_t)count * sizeof(double), order, count, 0, 0);
  free(samples), free(norms), free(scales), free(rows), free(scratch), free(matrix), free(parts);
  free(values), free(kernel), free(room);
}

int main(int count, char **arguments) {
  isa = count > 1 ? (ckernels_isa)atoi(arguments[1]) : CKERNELS_BASELINE;
  if (!ckernels_supports(isa)) return 2;
  convolutions(7, 5, 3, 19);
  convolutions(12, 9, 33, 48);
  convolutions(1, 1, 17, 1);
  convolutions(8, 8, 64, 32);
  normalization(5, 7, 96, 32);
  normalization(1, 3, 40, 8);
  normalization(16, 16, 128, 32);
  attention(1, 16), attention(37, 48), attention(130, 33);
  normalization(12, 8, 48, 16), normalization(4, 4, 33, 3);
  for (int rule = 0; rule < 5; ++rule) {
    codes(rule, 1, 1, 1), codes(rule, 7, 5, 33), codes(rule, 65, 8, 100), codes(rule, 97, 40, 31);
    codes(rule, 3, 257, 1025);
  }
  layouts(3, 5, 7), layouts(4, 6, 3), layouts(2, 2, 17), layouts(7, 9, 33), layouts(1, 1, 1);
  functions(1001);
  logits(1), logits(77), logits(1003);
  signals(1, 9), signals(6, 40), signals(17, 33), signals(64, 100);
  resampling(301, 33, 16), resampling(4000, 64, 48);
  return 0;
}
