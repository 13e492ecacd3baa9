// GroupNorm with what may follow it, and statistics of channels.

/// Mean and sum of squared deviations of each of 16 channels.
///
/// Sums are taken of deviations from the first position, which removes most of the mean, so that the
/// squares do not cancel: in floats over 256 positions, then in doubles.
static void NAME(moments)(ptrdiff_t positions, const float *input, double *means, double *squares) {
  enum { CHUNK = 256, CHAINS = 4 };
  double sum[LANES] = {0}, square[LANES] = {0};
  for (ptrdiff_t first = 0; first < positions; first += CHUNK) {
    const ptrdiff_t last = smaller(first + CHUNK, positions);
    for (int lane = 0; lane < LANES; lane += WIDTH) {
      const vector origin = load(input + lane);
      vector sums[CHAINS], products[CHAINS];
      for (int chain = 0; chain < CHAINS; ++chain) sums[chain] = products[chain] = 0.0f;
      ptrdiff_t position = first;
      for (; position + CHAINS <= last; position += CHAINS)
        for (int chain = 0; chain < CHAINS; ++chain) {
          vector deviation = load(input + (position + chain) * LANES + lane) - origin;
          sums[chain] += deviation;
          products[chain] = fused(deviation, deviation, products[chain]);
        }
      for (; position < last; ++position) {
        vector deviation = load(input + position * LANES + lane) - origin;
        sums[0] += deviation;
        products[0] = fused(deviation, deviation, products[0]);
      }
      vector total = (sums[0] + sums[1]) + (sums[2] + sums[3]);
      vector total_square = (products[0] + products[1]) + (products[2] + products[3]);
      for (int i = 0; i < WIDTH; ++i) {
        sum[lane + i] += (double)total[i];
        square[lane + i] += (double)total_square[i];
      }
    }
  }
  for (int i = 0; i < LANES; ++i) {
    const double mean = sum[i] / (double)positions, rest = square[i] - sum[i] * mean;
    means[i] = (double)input[i] + mean;
    squares[i] = rest < 0 ? 0 : rest;
  }
}

/// Joins the channels of one group (Chan's formula), `step` apart, and writes their scales and shifts.
static void NAME(group_scales)(ptrdiff_t positions, ptrdiff_t channels, ptrdiff_t step,
                               double epsilon, const double *means, const double *squares,
                               const float *gain, const float *bias, float *scales, float *shifts) {
  double mean = 0, square = 0;
  for (ptrdiff_t c = 0; c < channels; ++c) mean += means[c * step];
  mean /= (double)channels;
  for (ptrdiff_t c = 0; c < channels; ++c) {
    const double difference = means[c * step] - mean;
    square += squares[c * step] + (double)positions * (difference * difference);
  }
  const double variance = square / ((double)positions * (double)channels);
  const double inverse = 1.0 / __builtin_sqrt(variance + epsilon);
  for (ptrdiff_t c = 0; c < channels; ++c) {
    const double scale = (double)gain[c * step] * inverse;
    scales[c * step] = (float)scale;
    shifts[c * step] = (float)((double)bias[c * step] - mean * scale);
  }
}

/// One block of channels: scale, shift, SiLU.
static void NAME(scale_block)(ptrdiff_t positions, const float *scales, const float *shifts, bool silu,
                              const float *input, float *output) {
  for (int lane = 0; lane < LANES; lane += WIDTH) {
    const vector scale = load(scales + lane), shift = load(shifts + lane);
    for (ptrdiff_t position = 0; position < positions; ++position) {
      vector value = fused(load(input + position * LANES + lane), scale, shift);
      if (silu) value = silu_of(value);
      store(output + position * LANES + lane, value);
    }
  }
}

/// One block of channels: scale and shift, then a factor and a term of the nearest position, SiLU.
static void NAME(modulate_block)(const ckernels_normalization *n, ptrdiff_t block,
                                 const float *scales, const float *shifts, const float *input,
                                 float *output) {
  const ptrdiff_t width = n->width >> n->shift, size = (n->height >> n->shift) * width * LANES;
  const float *factors = n->factors + block * size, *terms = n->terms + block * size;
  for (int lane = 0; lane < LANES; lane += WIDTH) {
    const vector scale = load(scales + lane), shift = load(shifts + lane);
    for (ptrdiff_t y = 0; y < n->height; ++y)
      for (ptrdiff_t x = 0; x < n->width; ++x) {
        const ptrdiff_t here = (y * n->width + x) * LANES + lane;
        const ptrdiff_t there = ((y >> n->shift) * width + (x >> n->shift)) * LANES + lane;
        vector value = fused(load(input + here), scale, shift);
        value = fused(value, load(factors + there), load(terms + there));
        if (n->silu) value = silu_of(value);
        store(output + here, value);
      }
  }
}

static void NAME(group_norm)(const ckernels_normalization *n, const float *input, float *output,
                             float *scratch) {
  const ptrdiff_t positions = n->height * n->width, channels = n->channels;
  const ptrdiff_t blocks = blocks_of(channels), padded = blocks * LANES;
  const ptrdiff_t size = channels / n->groups, step = n->interleaved ? n->groups : 1;
  double *means = (double *)scratch, *squares = means + padded;
  float *scales = (float *)(squares + padded), *shifts = scales + padded;
  for (ptrdiff_t block = 0; block < blocks; ++block)
    NAME(moments)(positions, input + block * positions * LANES, means + block * LANES,
                  squares + block * LANES);
  for (ptrdiff_t group = 0; group < n->groups; ++group) {
    const ptrdiff_t c = n->interleaved ? group : group * size;
    NAME(group_scales)(positions, size, step, n->epsilon, means + c, squares + c, n->gain + c,
                       n->bias + c, scales + c, shifts + c);
  }
  for (ptrdiff_t c = channels; c < padded; ++c) scales[c] = shifts[c] = 0;
  for (ptrdiff_t block = 0; block < blocks; ++block) {
    const float *from = input + block * positions * LANES;
    float *to = output + block * positions * LANES;
    if (n->factors)
      NAME(modulate_block)(n, block, scales + block * LANES, shifts + block * LANES, from, to);
    else
      NAME(scale_block)(positions, scales + block * LANES, shifts + block * LANES, n->silu, from, to);
  }
}

static void NAME(scale_channels)(ptrdiff_t positions, ptrdiff_t channels, const float *gain,
                                 const float *bias, bool silu, const float *input, float *output) {
  for (ptrdiff_t block = 0; block < blocks_of(channels); ++block)
    NAME(scale_block)(positions, gain + block * LANES, bias + block * LANES, silu,
                      input + block * positions * LANES, output + block * positions * LANES);
}

static void NAME(channel_statistics)(ptrdiff_t positions, ptrdiff_t channels, double epsilon,
                                     const float *input, float *means, float *deviations) {
  for (ptrdiff_t block = 0; block < blocks_of(channels); ++block) {
    double mean[LANES], square[LANES];
    NAME(moments)(positions, input + block * positions * LANES, mean, square);
    for (ptrdiff_t lane = 0; lane < LANES; ++lane) {
      const double variance = square[lane] / (double)(positions - 1);
      const bool exists = block * LANES + lane < channels;
      means[block * LANES + lane] = exists ? (float)mean[lane] : 0;
      deviations[block * LANES + lane] = exists ? (float)__builtin_sqrt(variance + epsilon) : 0;
    }
  }
}
