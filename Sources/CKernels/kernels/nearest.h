// The code with the largest score of each vector: a product whose results are compared in registers and
// hardly ever stored. A score is bias[code] added to the sum over k of vector[k] * code[k], fused, in ascending k.

/// What is known of one vector's scores so far.
struct NAME(ranking) {
  float best, second;
  uint32_t code, next;
};
typedef struct NAME(ranking) NAME(ranking_type);
#define ranking_type NAME(ranking_type)

/// Columns that are compared at a time.
enum { NAME(STEP) = VECTORS * WIDTH };
#define STEP NAME(STEP)

/// Takes the scores of some codes in, in ascending order: an equal score is no larger, so the lowest code
/// stays.
static void NAME(rank)(const float *scores, uint32_t code, ranking_type *ranking) {
  for (uint32_t i = 0; i < STEP; ++i)
    if (scores[i] > ranking->best) {
      *ranking = (ranking_type){scores[i], ranking->best, code + i, ranking->code};
    } else if (scores[i] > ranking->second) {
      ranking->second = scores[i];
      ranking->next = code + i;
    }
}

/// Compares `rows` vectors (a compile-time constant) with some steps of codes.
INLINE void NAME(rank_rows)(const int rows, ptrdiff_t steps, ptrdiff_t dimensions,
                            const float *vectors, const float *packed, const float *bias,
                            ptrdiff_t code, ranking_type *rankings) {
  for (ptrdiff_t end = code + steps * STEP; code < end; code += STEP) {
    const float *right = packed + code / PANEL * PANEL * dimensions + code % PANEL;
    vector sums[ROWS][VECTORS];
#pragma clang loop unroll(full)
    for (int v = 0; v < VECTORS; ++v)
#pragma clang loop unroll(full)
      for (int r = 0; r < rows; ++r) sums[r][v] = 0.0f;
    for (ptrdiff_t k = 0; k < dimensions; ++k, right += PANEL) {
      vector codes[VECTORS];
      __builtin_prefetch(right + 24 * PANEL);
#pragma clang loop unroll(full)
      for (int v = 0; v < VECTORS; ++v) codes[v] = load(right + v * WIDTH);
#pragma clang loop unroll(full)
      for (int r = 0; r < rows; ++r) {
        vector value = vectors[r * dimensions + k];
#pragma clang loop unroll(full)
        for (int v = 0; v < VECTORS; ++v) sums[r][v] = fused(value, codes[v], sums[r][v]);
      }
    }
#pragma clang loop unroll(full)
    for (int v = 0; v < VECTORS; ++v)
#pragma clang loop unroll(full)
      for (int r = 0; r < rows; ++r) sums[r][v] += load(bias + code + v * WIDTH);
    // After a few steps hardly any score is among a vector's two largest: one test for all rows. A score that
    // is no number may hide a larger one behind it, so it counts as larger; which ones it would hide depends on
    // the width of the vectors.
    integers larger_ones = 0;
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; ++r) {
      vector top = sums[r][0];
#pragma clang loop unroll(full)
      for (int v = 1; v < VECTORS; ++v) top = sums[r][v] > top ? sums[r][v] : top;
      larger_ones |= ~(top <= rankings[r].second);
    }
    if (__builtin_reduce_or(larger_ones) == 0) continue;
    float scores[STEP];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; ++r) {
#pragma clang loop unroll(full)
      for (int v = 0; v < VECTORS; ++v) store(scores + v * WIDTH, sums[r][v]);
      NAME(rank)(scores, (uint32_t)code, rankings + r);
    }
  }
}

/// Any number of rows up to ROWS.
static void NAME(rank_steps)(ptrdiff_t rows, ptrdiff_t steps, ptrdiff_t dimensions,
                             const float *vectors, const float *packed, const float *bias,
                             ptrdiff_t code, ranking_type *rankings) {
#define RANK(count) \
  case count: \
    NAME(rank_rows)(count, steps, dimensions, vectors, packed, bias, code, rankings); \
    break;
  switch (rows) {
    RANK(1) RANK(2) RANK(3) RANK(4)
#if ROWS >= 6
    RANK(5) RANK(6)
#endif
#if ROWS >= 8
    RANK(7) RANK(8)
#endif
  }
#undef RANK
}

static void NAME(nearest)(ptrdiff_t count, ptrdiff_t dimensions, ptrdiff_t codes,
                          const float *vectors, const float *packed, const float *bias,
                          uint32_t *nearest, uint32_t *next, float *best) {
  // Vectors at a time, for which the codes pass once, and steps at a time whose codes stay in the
  // first-level cache while those vectors pass.
  enum { GROUP = 96 };
  const ptrdiff_t steps = (codes + STEP - 1) / STEP;
  const ptrdiff_t bytes = STEP * dimensions * (ptrdiff_t)sizeof(float);
  const ptrdiff_t chunk = larger(1, 16384 / bytes);
  ranking_type rankings[GROUP];
  for (ptrdiff_t first = 0; first < count; first += GROUP) {
    const ptrdiff_t rows = smaller(GROUP, count - first);
    for (ptrdiff_t r = 0; r < rows; ++r)
      rankings[r] = (ranking_type){-__builtin_inff(), -__builtin_inff(), UINT32_MAX, UINT32_MAX};
    for (ptrdiff_t step = 0; step < steps; step += chunk)
      for (ptrdiff_t row = 0; row < rows; row += ROWS)
        NAME(rank_steps)(smaller(ROWS, rows - row), smaller(chunk, steps - step), dimensions,
                         vectors + (first + row) * dimensions, packed, bias, step * STEP,
                         rankings + row);
    for (ptrdiff_t r = 0; r < rows; ++r) {
      nearest[first + r] = rankings[r].code;
      next[first + r] = rankings[r].next;
      best[first + r] = rankings[r].best;
    }
  }
}

/// The scores of all codes for each vector, as `nearest` compares them: [count][panels * 32].
static void NAME(scores)(ptrdiff_t count, ptrdiff_t dimensions, ptrdiff_t codes,
                         const float *vectors, const float *packed, const float *bias,
                         float *output) {
  const ptrdiff_t columns = (codes + PANEL - 1) / PANEL * PANEL;
  for (ptrdiff_t code = 0; code < columns; code += VECTORS * WIDTH) {
    const float *panel = packed + code / PANEL * PANEL * dimensions + code % PANEL;
    for (ptrdiff_t row = 0; row < count; ++row) {
      const float *left = vectors + row * dimensions, *right = panel;
      vector sums[VECTORS];
#pragma clang loop unroll(full)
      for (int v = 0; v < VECTORS; ++v) sums[v] = 0.0f;
      for (ptrdiff_t k = 0; k < dimensions; ++k, right += PANEL) {
        vector value = left[k];
#pragma clang loop unroll(full)
        for (int v = 0; v < VECTORS; ++v) sums[v] = fused(value, load(right + v * WIDTH), sums[v]);
      }
#pragma clang loop unroll(full)
      for (int v = 0; v < VECTORS; ++v)
        store(output + row * columns + code + v * WIDTH, sums[v] + load(bias + code + v * WIDTH));
    }
  }
}
