// Rows of logits. Included once for each instruction set, after vector.h with WIDTH 16.

typedef uint16_t NAME(loose_halves) __attribute__((ext_vector_type(16), aligned(2)));
typedef uint32_t NAME(words) __attribute__((ext_vector_type(16)));

/// The 16 floats of a run of stored ones.
INLINE vector NAME(widened)(ckernels_logits_type type, const void *from) {
  if (type == CKERNELS_LOGITS_FLOAT) return load((const float *)from);
  const NAME(loose_halves) halves = *(const NAME(loose_halves) *)from;
  const NAME(words) bits = __builtin_convertvector(halves, NAME(words));
  if (type == CKERNELS_LOGITS_BFLOAT16) return (vector)(bits << 16);
  // A product with 2^112 moves the exponent's bias and normalises what is subnormal.
  const vector magnitude = (vector)((bits & 0x7fff) << 13) * 0x1p112f;
  const NAME(words) special = (NAME(words))((bits & 0x7c00) == 0x7c00);
  return (vector)((NAME(words))magnitude | (special & 0x7f800000) | (bits & 0x8000) << 16);
}

static float NAME(logits_widen)(ckernels_logits_type type, ptrdiff_t count, const void *row,
                                float *floats) {
  const ptrdiff_t width = type == CKERNELS_LOGITS_FLOAT ? 4 : 2;
  const vector infinity = __builtin_inff();
  vector top = -__builtin_inff();
  integers bad = 0;
  ptrdiff_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const vector x = NAME(widened)(type, (const char *)row + i * width);
    store(floats + i, x);
    bad |= ~(x < infinity);
    top = chosen(x > top, x, top);
  }
  if (i < count) {
    char rest[64] = {0};
    memcpy(rest, (const char *)row + i * width, (size_t)((count - i) * width));
    const vector x = NAME(widened)(type, rest);
    for (int lane = 0; lane < count - i; ++lane) {
      floats[i + lane] = x[lane];
      if (!(x[lane] < __builtin_inff())) bad[0] = -1;
      if (x[lane] > top[0]) top[0] = x[lane];
    }
  }
  float largest = -__builtin_inff();
  for (int lane = 0; lane < 16; ++lane) {
    if (bad[lane]) return __builtin_nanf("");
    if (top[lane] > largest) largest = top[lane];
  }
  return largest;
}

static double NAME(logits_sum)(ptrdiff_t count, const float *floats, float top, float scale) {
  double total = 0;
  ptrdiff_t i = 0;
  while (i + 16 <= count) {
    // Floats over 256 positions, then a double.
    const ptrdiff_t end = i + 4096 < count ? i + 4096 : count;
    vector sums[2] = {0.0f, 0.0f};
    for (; i + 32 <= end; i += 32) {
      sums[0] += exponential_of((load(floats + i) - top) * scale);
      sums[1] += exponential_of((load(floats + i + 16) - top) * scale);
    }
    if (i + 16 <= end) {
      sums[0] += exponential_of((load(floats + i) - top) * scale);
      i += 16;
    }
    const vector sum = sums[0] + sums[1];
    for (int lane = 0; lane < 16; ++lane) total += (double)sum[lane];
  }
  if (i < count) {
    vector rest = -__builtin_inff();
    for (int lane = 0; lane < count - i; ++lane) rest[lane] = (floats[i + lane] - top) * scale;
    const vector powers = exponential_of(rest);
    for (int lane = 0; lane < count - i; ++lane) total += (double)powers[lane];
  }
  return total;
}

static ptrdiff_t NAME(logits_above)(ptrdiff_t count, const float *floats, float limit,
                                    uint32_t *places, float *values) {
  ptrdiff_t found = 0, i = 0;
  for (; i + 32 <= count; i += 32) {
    const vector a = load(floats + i), b = load(floats + i + 16);
    const vector larger = chosen(a > b, a, b);
    if (!__builtin_reduce_or(larger > limit)) continue;
    for (int lane = 0; lane < 32; ++lane)
      if (floats[i + lane] > limit) {
        places[found] = (uint32_t)(i + lane);
        values[found++] = floats[i + lane];
      }
  }
  for (; i < count; ++i)
    if (floats[i] > limit) {
      places[found] = (uint32_t)i;
      values[found++] = floats[i];
    }
  return found;
}
