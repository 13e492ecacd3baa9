// Layouts, pooling, elementwise functions, the Haar transform, and the loop that measures the processor's peak.

static void NAME(to_blocks)(ptrdiff_t positions, ptrdiff_t channels, const float *input,
                            float *output) {
  for (ptrdiff_t first = 0; first < channels; first += LANES) {
    const ptrdiff_t count = smaller(LANES, channels - first);
    const float *from = input + first;
    for (ptrdiff_t position = 0; position < positions; ++position, from += channels, output += LANES) {
      for (ptrdiff_t lane = 0; lane < count; ++lane) output[lane] = from[lane];
      for (ptrdiff_t lane = count; lane < LANES; ++lane) output[lane] = 0.0f;
    }
  }
}

static void NAME(from_blocks)(ptrdiff_t positions, ptrdiff_t channels, const float *input,
                              float *output) {
  for (ptrdiff_t first = 0; first < channels; first += LANES) {
    const ptrdiff_t count = smaller(LANES, channels - first);
    float *to = output + first;
    for (ptrdiff_t position = 0; position < positions; ++position, to += channels, input += LANES)
      for (ptrdiff_t lane = 0; lane < count; ++lane) to[lane] = input[lane];
  }
}

static void NAME(haar)(ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels, const float *input,
                       float *restrict output) {
  for (ptrdiff_t y = 0; y < height; y += 2) {
    const float *upper = input + y * width * channels, *lower = upper + width * channels;
    for (ptrdiff_t x = 0; x < width; x += 2, output += 4 * channels) {
      for (ptrdiff_t i = 0; i < channels; ++i) {
        const float a = upper[x * channels + i], b = upper[(x + 1) * channels + i];
        const float c = lower[x * channels + i], d = lower[(x + 1) * channels + i];
        output[i] = (a + b + c + d) / 4;
        output[channels + i] = (a + b - c - d) / 4;
        output[2 * channels + i] = (a - b + c - d) / 4;
        output[3 * channels + i] = (a - b - c + d) / 4;
      }
    }
  }
}

static void NAME(inverse_haar)(ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels,
                               const float *input, float *restrict output) {
  for (ptrdiff_t y = 0; y < height; ++y) {
    float *upper = output + 4 * y * width * channels, *lower = upper + 2 * width * channels;
    for (ptrdiff_t x = 0; x < width; ++x, input += 4 * channels)
      for (ptrdiff_t i = 0; i < channels; ++i) {
        const float ll = input[i], lh = input[channels + i];
        const float hl = input[2 * channels + i], hh = input[3 * channels + i];
        upper[2 * x * channels + i] = ll + lh + hl + hh;
        upper[(2 * x + 1) * channels + i] = ll + lh - hl - hh;
        lower[2 * x * channels + i] = ll - lh + hl - hh;
        lower[(2 * x + 1) * channels + i] = ll - lh - hl + hh;
      }
  }
}

static void NAME(activate)(ckernels_activation activation, ptrdiff_t count, const float *input,
                           float *output) {
  const vector zero = 0.0f;
  for (ptrdiff_t i = 0; i < count; i += WIDTH) {
    vector x = load(input + i);
    switch (activation) {
      case CKERNELS_RELU: x = chosen(x < zero, zero, x); break;
      case CKERNELS_SILU: x = silu_of(x); break;
      case CKERNELS_TANH: x = 2.0f / (exponential_of(x * -2.0f) + 1.0f) - 1.0f; break;
      case CKERNELS_SIGMOID: x = 1.0f / (exponential_of(-x) + 1.0f); break;
    }
    store(output + i, x);
  }
}

static void NAME(add)(ptrdiff_t count, const float *input, float *output) {
  for (ptrdiff_t i = 0; i < count; i += WIDTH) store(output + i, load(output + i) + load(input + i));
}

static void NAME(pool)(bool maximum, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels,
                       const float *input, float *output) {
  for (ptrdiff_t block = 0; block < blocks_of(channels); ++block, input += height * width * LANES)
    for (ptrdiff_t y = 0; y + 1 < height; y += 2)
      for (ptrdiff_t x = 0; x + 1 < width; x += 2, output += LANES) {
        const float *upper = input + (y * width + x) * LANES, *lower = upper + width * LANES;
        for (int lane = 0; lane < LANES; lane += WIDTH) {
          vector a = load(upper + lane), b = load(upper + LANES + lane);
          vector c = load(lower + lane), d = load(lower + LANES + lane);
          vector value;
          if (maximum) {
            a = chosen(b > a, b, a);
            c = chosen(d > c, d, c);
            value = chosen(c > a, c, a);
          } else {
            value = (a + b + c + d) * 0.25f;
          }
          store(output + lane, value);
        }
      }
}

static void NAME(upsample)(ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels,
                           const float *input, float *output) {
  const size_t pixel = LANES * sizeof(float);
  for (ptrdiff_t block = 0; block < blocks_of(channels); ++block, input += height * width * LANES)
    for (ptrdiff_t y = 0; y < 2 * height; ++y)
      for (ptrdiff_t x = 0; x < 2 * width; ++x, output += LANES)
        memcpy(output, input + (y / 2 * width + x / 2) * LANES, pixel);
}

static void NAME(depth_to_space)(ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels,
                                 const float *input, float *output) {
  const size_t pixel = LANES * sizeof(float);
  const ptrdiff_t blocks = blocks_of(channels), plane = height * width * LANES;
  for (ptrdiff_t block = 0; block < blocks; ++block)
    for (ptrdiff_t quarter = 0; quarter < 4; ++quarter) {
      const float *from = input + (quarter * blocks + block) * plane;
      float *to = output + 4 * block * plane + (quarter / 2 * 2 * width + quarter % 2) * LANES;
      for (ptrdiff_t y = 0; y < height; ++y, to += 2 * width * LANES)
        for (ptrdiff_t x = 0; x < width; ++x, from += LANES, to += 2 * LANES)
          memcpy(to, from, pixel);
    }
}

static void NAME(exponential)(ptrdiff_t count, const float *input, float *output) {
  ptrdiff_t i = 0;
  for (; i + WIDTH <= count; i += WIDTH) store(output + i, exponential_of(load(input + i)));
  if (i == count) return;
  float rest[WIDTH] = {0};
  memcpy(rest, input + i, (size_t)(count - i) * sizeof(float));
  store(rest, exponential_of(load(rest)));
  memcpy(output + i, rest, (size_t)(count - i) * sizeof(float));
}

static double NAME(fma_loop)(ptrdiff_t rounds, float *sink) {
  // Twelve independent chains hide the latency of every processor in sight.
  enum { CHAINS = 12 };
  vector sums[CHAINS], factor = 0.999f, term = *sink;
#pragma clang loop unroll(full)
  for (int i = 0; i < CHAINS; ++i) sums[i] = (float)i;
  for (ptrdiff_t round = 0; round < rounds; ++round)
#pragma clang loop unroll(full)
    for (int i = 0; i < CHAINS; ++i) sums[i] = fused(sums[i], factor, term);
  for (int i = 1; i < CHAINS; ++i) sums[0] += sums[i];
  *sink = sums[0][0];
  return 2.0 * CHAINS * WIDTH * (double)rounds;
}

const struct kernels NAME(kernels) = {
    .convolve_1x1 = NAME(convolve_1x1),
    .convolve_direct = NAME(convolve_direct),
    .convolve_winograd = NAME(convolve_winograd),
    .group_norm = NAME(group_norm),
    .channel_statistics = NAME(channel_statistics),
    .activate = NAME(activate),
    .add = NAME(add),
    .scale_channels = NAME(scale_channels),
    .pool = NAME(pool),
    .upsample = NAME(upsample),
    .depth_to_space = NAME(depth_to_space),
    .attention = NAME(attention),
    .nearest = NAME(nearest),
    .scores = NAME(scores),
    .exponential = NAME(exponential),
    .to_blocks = NAME(to_blocks),
    .from_blocks = NAME(from_blocks),
    .haar = NAME(haar),
    .inverse_haar = NAME(inverse_haar),
    .fma_loop = NAME(fma_loop),
};
