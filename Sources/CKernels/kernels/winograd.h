// Winograd's F(4x4, 3x3): a tile of 6x6 inputs gives 4x4 outputs with 36 multiplications instead of 144.
//
// Toom-Cook with the points 0, a, -a, b, -b and infinity, a = 5/8, b = 3/2: half the rounding error of the
// usual 0, ±1, ±2, and every constant below is exact in binary. `ckernels_pack_winograd` has the third
// transform, that of the weights.

#define A 0.625f
#define B 1.5f

/// The input's transform along one direction.
INLINE void NAME(input_line)(const vector *d, vector *v) {
  const vector a2 = A * A, b2 = B * B, sum = A * A + B * B, both = A * A * B * B, a = A, b = B;
  vector even_a = fused(-b2, d[2], d[4]), odd_a = fused(-b2, d[1], d[3]);
  vector even_b = fused(-a2, d[2], d[4]), odd_b = fused(-a2, d[1], d[3]);
  v[0] = fused(both, d[0], fused(-sum, d[2], d[4]));
  v[1] = fused(a, odd_a, even_a);
  v[2] = fused(-a, odd_a, even_a);
  v[3] = fused(b, odd_b, even_b);
  v[4] = fused(-b, odd_b, even_b);
  v[5] = fused(both, d[1], fused(-sum, d[3], d[5]));
}

/// The output's transform along one direction.
INLINE void NAME(output_line)(const vector *m, vector *y) {
  const vector a2 = A * A, b2 = B * B, a3 = A * A * A, b3 = B * B * B, a = A, b = B;
  vector even_a = m[1] + m[2], odd_a = m[1] - m[2], even_b = m[3] + m[4], odd_b = m[3] - m[4];
  y[0] = m[0] + even_a + even_b;
  y[1] = fused(a, odd_a, b * odd_b);
  y[2] = fused(a2, even_a, b2 * even_b);
  y[3] = fused(a3, odd_a, fused(b3, odd_b, m[5]));
}
#undef A
#undef B

/// Transforms one tile of one block: 6x6 positions, `row` floats from line to line, to 36 planes.
INLINE void NAME(input_tile)(const float *input, ptrdiff_t row, float *output, ptrdiff_t plane) {
  for (int lane = 0; lane < LANES; lane += WIDTH) {
    vector columns[6][6], d[6], v[6];
    for (int x = 0; x < 6; ++x) {
      for (int y = 0; y < 6; ++y) d[y] = load(input + y * row + x * LANES + lane);
      NAME(input_line)(d, v);
      for (int y = 0; y < 6; ++y) columns[y][x] = v[y];
    }
    for (int y = 0; y < 6; ++y) {
      NAME(input_line)(columns[y], v);
      for (int x = 0; x < 6; ++x) store(output + (y * 6 + x) * plane + lane, v[x]);
    }
  }
}

/// Copies the 6x6 positions around an output tile, zeros outside the image, each position taken
/// 2^`shift` times in each direction.
static void NAME(gather)(const float *input, ptrdiff_t height, ptrdiff_t width, int shift,
                         ptrdiff_t top, ptrdiff_t left, float *patch) {
  for (ptrdiff_t y = top; y < top + 6; ++y)
    for (ptrdiff_t x = left; x < left + 6; ++x, patch += LANES) {
      const bool inside = y >= 0 && x >= 0 && y < height << shift && x < width << shift;
      const float *from = input + ((y >> shift) * width + (x >> shift)) * LANES;
      for (int lane = 0; lane < LANES; lane += WIDTH) {
        vector value = 0.0f;
        if (inside) value = load(from + lane);
        store(patch + lane, value);
      }
    }
}

/// Transforms 36 planes back to 4x4 positions, of which `rows` x `columns` exist; adds the bias.
INLINE void NAME(output_tile)(const float *input, ptrdiff_t plane, const float *bias, float *output,
                              ptrdiff_t row, ptrdiff_t rows, ptrdiff_t columns, bool accumulate) {
  for (int lane = 0; lane < LANES; lane += WIDTH) {
    vector lines[4][6], m[6], y[4];
    for (int i = 0; i < 6; ++i) {
      for (int j = 0; j < 6; ++j) m[j] = load(input + (j * 6 + i) * plane + lane);
      NAME(output_line)(m, y);
      for (int j = 0; j < 4; ++j) lines[j][i] = y[j];
    }
    const vector shift = load(bias + lane);
    for (ptrdiff_t j = 0; j < rows; ++j) {
      NAME(output_line)(lines[j], y);
      for (ptrdiff_t i = 0; i < columns; ++i) {
        float *to = output + j * row + i * LANES + lane;
        vector value = y[i] + shift;
        if (accumulate) value = load(to) + value;
        store(to, value);
      }
    }
  }
}

/// An image cut into tiles of 4x4 outputs.
struct NAME(tiling) {
  ptrdiff_t height, width, across, first, count;
};
#define tiling_type struct NAME(tiling)

static void NAME(transform_inputs)(const ckernels_convolution *c, tiling_type t, int shift,
                                   const float *input, float *transformed, ptrdiff_t plane) {
  for (ptrdiff_t block = 0; block < blocks_of(c->in_channels); ++block) {
    const float *from = input + block * c->height * c->width * LANES;
    for (ptrdiff_t tile = 0; tile < t.count; ++tile) {
      const ptrdiff_t top = (t.first + tile) / t.across * 4 - 1;
      const ptrdiff_t left = (t.first + tile) % t.across * 4 - 1;
      float *to = transformed + (block * t.count + tile) * LANES;
      if (!shift && top >= 0 && left >= 0 && top + 6 <= t.height && left + 6 <= t.width) {
        NAME(input_tile)(from + (top * t.width + left) * LANES, t.width * LANES, to, plane);
      } else {
        _Alignas(64) float patch[36 * LANES];
        NAME(gather)(from, c->height, c->width, shift, top, left, patch);
        NAME(input_tile)(patch, 6 * LANES, to, plane);
      }
    }
  }
}

static void NAME(transform_outputs)(tiling_type t, ptrdiff_t blocks, const float *products,
                                    ptrdiff_t plane, const float *bias, float *output,
                                    bool accumulate) {
  for (ptrdiff_t block = 0; block < blocks; ++block)
    for (ptrdiff_t tile = 0; tile < t.count; ++tile) {
      const ptrdiff_t y = (t.first + tile) / t.across * 4, x = (t.first + tile) % t.across * 4;
      const ptrdiff_t rows = smaller(4, t.height - y), columns = smaller(4, t.width - x);
      const float *from = products + (block * t.count + tile) * LANES;
      float *to = output + ((block * t.height + y) * t.width + x) * LANES;
      if (rows == 4 && columns == 4)
        NAME(output_tile)(from, plane, bias + block * LANES, to, t.width * LANES, 4, 4, accumulate);
      else
        NAME(output_tile)(from, plane, bias + block * LANES, to, t.width * LANES, rows, columns,
                          accumulate);
    }
}

static void NAME(convolve_winograd)(const ckernels_convolution *c, bool upsample,
                                    const float *input, float *output, bool accumulate,
                                    float *scratch) {
  const int shift = upsample ? 1 : 0;
  const ptrdiff_t height = c->height << shift, width = c->width << shift;
  const ptrdiff_t across = (width + 3) / 4, tiles = across * ((height + 3) / 4);
  const ptrdiff_t step = winograd_tiles(c->in_channels), blocks = blocks_of(c->in_channels);
  const ptrdiff_t columns = blocks_of(c->out_channels) * LANES, here = 0;
  const ptrdiff_t panels = (columns + PANEL - 1) / PANEL;
  float *products = scratch + 36 * winograd_plane(blocks, step);
  for (ptrdiff_t first = 0; first < tiles; first += step) {
    const tiling_type t = {height, width, across, first, smaller(step, tiles - first)};
    const ptrdiff_t plane = winograd_plane(blocks, t.count);
    NAME(transform_inputs)(c, t, shift, input, scratch, plane);
    for (ptrdiff_t column = 0; column < columns; column += WINOGRAD_COLUMNS) {
      const ptrdiff_t count = smaller(WINOGRAD_COLUMNS, columns - column);
      const ptrdiff_t product_plane = winograd_plane(count / LANES, t.count);
      const ptrdiff_t depth = c->in_channels * PANEL;
      const float *weights = c->weights + column / PANEL * depth;
      for (ptrdiff_t point = 0; point < 36; ++point, weights += panels * depth) {
        const float *following = weights + panels * depth;
        if (point == 35)
          following = c->weights + (column + count < columns ? (column + count) / PANEL * depth : 0);
        multiply(&(product_type){
            .left = scratch + point * plane, .rows = t.count, .line = t.count, .row_stride = LANES,
            .taps = &here, .tap_count = 1, .channels = c->in_channels,
            .block_stride = t.count * LANES, .right = weights, .following = following,
            .output = products + point * product_plane, .columns = count,
            .output_block = t.count * LANES});
      }
      NAME(transform_outputs)(t, count / LANES, products, product_plane, c->bias + column,
                              output + column * height * width, accumulate);
    }
  }
}
