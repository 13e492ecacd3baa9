// The one matrix product that everything but Winograd's transforms and the elementwise kernels is made
// of. Its left side are activations (read where they lie: blocked, with any distance from row to row),
// its right side are packed panels of 32 columns.

/// output[row][column] = sum over taps, then channels, of left[row, tap, channel] * right[tap, channel, column].
struct NAME(product) {
  const float *left;
  /// Row r lies at (r / line) * line_stride + (r % line) * row_stride.
  ptrdiff_t rows, line, line_stride, row_stride;
  /// Distances of the taps from a row's place; channel c lies (c / 16) * block_stride + c % 16 further.
  const ptrdiff_t *taps;
  ptrdiff_t tap_count, channels, block_stride;
  /// Panels [columns / 32][taps * channels][32].
  const float *right;
  /// The panel that another product will begin with, to be fetched in time; null where none follows.
  const float *following;
  /// One value a column, or null for zero.
  const float *bias;
  /// Blocked: column c of row r lies at (c / 16) * output_block + r * 16 + c % 16.
  float *output;
  ptrdiff_t columns, output_block;
  /// Whether the output's old values are added.
  bool accumulate;
};
typedef struct NAME(product) NAME(product_type);
#define product_type NAME(product_type)

/// One tile of the product in registers: `rows` x (`vectors` * WIDTH) sums, both compile-time constants.
INLINE void NAME(tile)(const int rows, const int vectors, const product_type *p,
                       const float *const *left, const float *right, const float *next,
                       ptrdiff_t share, ptrdiff_t row, ptrdiff_t column) {
  vector sums[ROWS][VECTORS];
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; ++r)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; ++v) sums[r][v] = 0.0f;
  for (ptrdiff_t tap = 0; tap < p->tap_count; ++tap) {
    ptrdiff_t place = p->taps[tap];
    for (ptrdiff_t rest = p->channels; rest > 0; rest -= LANES, place += p->block_stride) {
      ptrdiff_t end = place + smaller(rest, LANES);
      for (ptrdiff_t k = place; k < end; ++k, right += PANEL, next += share) {
        vector weights[VECTORS];
        __builtin_prefetch(right + 24 * PANEL);
        __builtin_prefetch(next, 0, 2);
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; ++v) weights[v] = load(right + v * WIDTH);
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; ++r) {
          vector value = left[r][k];
#pragma clang loop unroll(full)
          for (int v = 0; v < vectors; ++v) sums[r][v] = fused(value, weights[v], sums[r][v]);
        }
      }
    }
  }
#pragma clang loop unroll(full)
  for (int v = 0; v < vectors; ++v) {
    ptrdiff_t c = column + v * WIDTH;
    float *output = p->output + c / LANES * p->output_block + row * LANES + c % LANES;
    vector bias = 0.0f;
    if (p->bias) bias = load(p->bias + c);
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; ++r) {
      vector sum = sums[r][v];
      if (p->bias) sum += bias;
      if (p->accumulate) sum = load(output + r * LANES) + sum;
      store(output + r * LANES, sum);
    }
  }
}

/// A tile of any number of rows up to ROWS.
INLINE void NAME(rows)(ptrdiff_t rows, const int vectors, const product_type *p,
                       const float *const *left, const float *right, const float *next,
                       ptrdiff_t share, ptrdiff_t row, ptrdiff_t column) {
#define TILE(count) \
  case count: NAME(tile)(count, vectors, p, left, right, next, share, row, column); break;
  switch (rows) {
    TILE(1) TILE(2) TILE(3) TILE(4)
#if ROWS >= 6
    TILE(5) TILE(6)
#endif
#if ROWS >= 8
    TILE(7) TILE(8)
#endif
  }
#undef TILE
}

/// The whole product. Rows go in groups of 64, so that their left side stays in the cache while the
/// panels pass, and each group in tiles of nearly equal height.
///
/// Panels come from memory or a far cache. Every tile fetches its share of the panel that follows the
/// current one, so that the way is spread over the whole time that the current one takes.
static void NAME(multiply)(const product_type *p) {
  enum { GROUP = 64, COLUMNS = VECTORS * WIDTH, PARTS = PANEL / COLUMNS };
  const ptrdiff_t depth = p->tap_count * p->channels;
  for (ptrdiff_t first = 0; first < p->rows; first += GROUP) {
    const ptrdiff_t last = smaller(first + GROUP, p->rows);
    const ptrdiff_t passes = (last - first + ROWS - 1) / ROWS * PARTS;
    const ptrdiff_t share = (PANEL + passes - 1) / passes;
    for (ptrdiff_t column = 0; column < p->columns; column += COLUMNS) {
      const float *panel = p->right + column / PANEL * depth * PANEL;
      const float *right = panel + column % PANEL, *next = panel + depth * PANEL;
      if (p->following && column / PANEL * PANEL + PANEL >= p->columns) next = p->following;
      ptrdiff_t tiles = (last - first + ROWS - 1) / ROWS;
      ptrdiff_t pass = column % PANEL / COLUMNS * tiles;
      for (ptrdiff_t row = first; row < last; --tiles, ++pass) {
        const ptrdiff_t count = (last - row + tiles - 1) / tiles;
        const float *left[ROWS];
        for (ptrdiff_t r = 0; r < count; ++r)
          left[r] = p->left + (row + r) / p->line * p->line_stride +
                    (row + r) % p->line * p->row_stride;
        const float *part = next + pass * share * depth;
        if (COLUMNS == PANEL && column + LANES == p->columns)
          NAME(rows)(count, VECTORS > 1 ? VECTORS / 2 : 1, p, left, right, part, share, row, column);
        else
          NAME(rows)(count, VECTORS, p, left, right, part, share, row, column);
        row += count;
      }
    }
  }
}
#define multiply NAME(multiply)
