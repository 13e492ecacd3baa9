// GroupNorm with SiLU.

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

/// Joins the channels of one group (Chan's formula) and writes their scales and shifts.
static void NAME(group_scales)(ptrdiff_t positions, ptrdiff_t channels, double epsilon,
                               const double *means, const double *squares, const float *gain,
                               const float *bias, float *scales, float *shifts) {
  double mean = 0, square = 0;
  for (ptrdiff_t c = 0; c < channels; ++c) mean += means[c];
  mean /= (double)channels;
  for (ptrdiff_t c = 0; c < channels; ++c) {
    const double difference = means[c] - mean;
    square += squares[c] + (double)positions * (difference * difference);
  }
  const double variance = square / ((double)positions * (double)channels);
  const double inverse = 1.0 / __builtin_sqrt(variance + epsilon);
  for (ptrdiff_t c = 0; c < channels; ++c) {
    const double scale = (double)gain[c] * inverse;
    scales[c] = (float)scale;
    shifts[c] = (float)((double)bias[c] - mean * scale);
  }
}

static void NAME(group_norm)(ptrdiff_t positions, ptrdiff_t channels, ptrdiff_t groups,
                             double epsilon, const float *gain, const float *bias, bool silu,
                             const float *input, float *output, float *scratch) {
  const ptrdiff_t blocks = blocks_of(channels), padded = blocks * LANES, size = channels / groups;
  double *means = (double *)scratch, *squares = means + padded;
  float *scales = (float *)(squares + padded), *shifts = scales + padded;
  for (ptrdiff_t block = 0; block < blocks; ++block)
    NAME(moments)(positions, input + block * positions * LANES, means + block * LANES,
                  squares + block * LANES);
  for (ptrdiff_t c = 0; c < channels; c += size)
    NAME(group_scales)(positions, size, epsilon, means + c, squares + c, gain + c, bias + c,
                       scales + c, shifts + c);
  for (ptrdiff_t c = channels; c < padded; ++c) scales[c] = shifts[c] = 0;
  for (ptrdiff_t block = 0; block < blocks; ++block) {
    const float *from = input + block * positions * LANES;
    float *to = output + block * positions * LANES;
    for (int lane = 0; lane < LANES; lane += WIDTH) {
      const vector scale = load(scales + block * LANES + lane);
      const vector shift = load(shifts + block * LANES + lane);
      for (ptrdiff_t position = 0; position < positions; ++position) {
        vector value = fused(load(from + position * LANES + lane), scale, shift);
        if (silu) value = silu_of(value);
        store(to + position * LANES + lane, value);
      }
    }
  }
}
