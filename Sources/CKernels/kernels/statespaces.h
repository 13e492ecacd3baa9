// Steps of state spaces. Included once for each instruction set, which defines NAME(name).

#pragma STDC FP_CONTRACT OFF
#pragma clang diagnostic ignored "-Wpsabi"

typedef double NAME(octet) __attribute__((ext_vector_type(8)));
typedef double NAME(loose_octet) __attribute__((ext_vector_type(8), aligned(8)));
#define octet NAME(octet)

static inline __attribute__((always_inline)) octet NAME(load8)(const double *from) {
  return *(const NAME(loose_octet) *)from;
}
static inline __attribute__((always_inline)) void NAME(store8)(double *to, octet value) {
  *(NAME(loose_octet) *)to = value;
}
static inline __attribute__((always_inline)) octet NAME(fused8)(octet a, octet b, octet c) {
  return __builtin_elementwise_fma(a, b, c);
}
#define load8 NAME(load8)
#define store8 NAME(store8)
#define fused8 NAME(fused8)

/// Writes the state where a row is due after sample number `number`; returns the next row.
static double *NAME(emit)(const ckernels_rows *rows, double *row, uint64_t number, ptrdiff_t order,
                          const double *state) {
  if (number % rows->every != 0) return row;
  for (ptrdiff_t n = 0; n < order; ++n) row[n] = state[n] * rows->scales[n];
  return row + rows->stride;
}

/// state = e^(A tau) state for LegS, by a Taylor sum with products of O(order).
static void NAME(legs_exponential)(ptrdiff_t order, const double *norms, double tau, double *term,
                                   double *state) {
  const double z = tau * legs_norm_bound(order);
  const double parts = z <= 1 ? 1 : __builtin_ceil(z);
  const double step = tau / parts;
  int count = 1;
  for (double size = z / parts; size > 0x1p-58; size *= z / parts / count) ++count;
  for (double part = 0; part < parts; ++part) {
    for (ptrdiff_t n = 0; n < order; ++n) term[n] = state[n];
    for (int j = 1; j <= count; ++j) {
      const double factor = step / j;
      double sum = 0;
      for (ptrdiff_t n = 0; n < order; ++n) {
        const double x = term[n], r = norms[n];
        sum = __builtin_fma(r, x, sum);
        const double product = factor * __builtin_fma(-r, sum, (double)n * x);
        term[n] = product;
        state[n] += product;
      }
    }
  }
}

/// One step of LegS with weights: (I - implicit A) x' = (I + explicit A) x + input B u.
static void NAME(legs_step)(ptrdiff_t order, const double *norms, double *scratch, double before,
                            double implicit, double input, double *state) {
  double *inverses = scratch, *factors = scratch + (order + 7);
  octet index = {0, 1, 2, 3, 4, 5, 6, 7};
  for (ptrdiff_t n = 0; n < order; n += 8) {
    const octet inverse = 1.0 / fused8((octet)implicit, index + 1.0, (octet)1.0);
    store8(inverses + n, inverse);
    store8(factors + n, fused8((octet)-implicit, index, (octet)1.0) * inverse);
    index += 8.0;
  }
  double sum = 0, solved = 0;
  for (ptrdiff_t n = 0; n < order; ++n) {
    const double x = state[n], r = norms[n];
    sum = __builtin_fma(r, x, sum);
    const double product = __builtin_fma(-r, sum, (double)n * x);
    const double v = __builtin_fma(before, product, __builtin_fma(input, r, x));
    state[n] = __builtin_fma(-(implicit * r), solved, v) * inverses[n];
    solved = __builtin_fma(factors[n], solved, r * v * inverses[n]);
  }
}

static void NAME(legs_steps)(ckernels_legs_convention convention, ptrdiff_t order,
                             const double *norms, double *scratch, ckernels_signal signal,
                             double *state, ckernels_rows rows) {
  double *row = rows.rows;
  for (ptrdiff_t t = 0; t < signal.count; ++t) {
    const double u = signal.samples[t * signal.stride];
    const uint64_t seen = signal.first + (uint64_t)t;
    const double now = (double)seen, next = now + 1;
    if (seen == 0 && convention != CKERNELS_LEGS_HIPPO_PY) {
      for (ptrdiff_t n = 0; n < order; ++n) state[n] = 0;
      state[0] = u;
    } else if (convention == CKERNELS_LEGS_OPTIMAL) {
      // A constant is kept, so the input only moves what is stepped.
      state[0] -= u;
      NAME(legs_exponential)(order, norms, log_of_step(now), scratch, state);
      state[0] += u;
    } else {
      double before = 1 / (2 * now), after = 1 / (2 * next), input = 1 / now;
      if (convention == CKERNELS_LEGS_TRAP) input = (1 / now + 1 / next) / 2;
      if (convention == CKERNELS_LEGS_HIPPO_C) after = before;
      if (convention == CKERNELS_LEGS_HIPPO_PY) before = after, input = 1 / next;
      NAME(legs_step)(order, norms, scratch, before, after, input * u, state);
    }
    row = NAME(emit)(&rows, row, seen + 1, order, state);
  }
}

/// `count` octets of rows from `first` on of A x + B u.
#define DENSE_ROWS(count)                                                            \
  do {                                                                               \
    octet sums[count];                                                               \
    for (int v = 0; v < (count); ++v) sums[v] = load8(input + first + 8 * v) * u;    \
    for (ptrdiff_t column = 0; column < order; ++column) {                           \
      const octet x = state[column];                                                 \
      const double *from = columns + column * padded + first;                        \
      for (int v = 0; v < (count); ++v) sums[v] = fused8(load8(from + 8 * v), x, sums[v]); \
    }                                                                                \
    for (int v = 0; v < (count); ++v) store8(scratch + first + 8 * v, sums[v]);      \
  } while (0)

static void NAME(dense_steps)(ptrdiff_t order, ptrdiff_t padded, const double *columns,
                              const double *input, double *scratch, ckernels_signal signal,
                              double *state, ckernels_rows rows) {
  double *row = rows.rows;
  for (ptrdiff_t t = 0; t < signal.count; ++t) {
    const double u = signal.samples[t * signal.stride];
    ptrdiff_t first = 0;
    for (; first + 64 <= padded; first += 64) DENSE_ROWS(8);
    for (; first < padded; first += 8) DENSE_ROWS(1);
    for (ptrdiff_t n = 0; n < padded; n += 8) store8(state + n, load8(scratch + n));
    row = NAME(emit)(&rows, row, signal.first + (uint64_t)t + 1, order, state);
  }
}
#undef DENSE_ROWS

static void NAME(sweep_steps)(ptrdiff_t order, const ckernels_sweeps *s, double keep, double take,
                              const double *input, const double *after, double *scratch,
                              ckernels_signal signal, double *state, ckernels_rows rows) {
  double *row = rows.rows, *moved = scratch, *right = scratch + order + 1;
  for (ptrdiff_t t = 0; t < signal.count; ++t) {
    const double u = signal.samples[t * signal.stride];
    for (ptrdiff_t n = 0; n < order; ++n) moved[n] = __builtin_fma(take, state[n], input[n] * u);
    double sum = 0;
    right[order] = 0;
    for (ptrdiff_t n = order; n-- > 0;) {
      sum = __builtin_fma(s->backward[n], sum, s->gather[n] * moved[n]);
      right[n] = sum;
    }
    sum = 0;
    for (ptrdiff_t n = 0; n < order; ++n) {
      const double v = moved[n], g = right[n + 1];
      const double out = __builtin_fma(s->from_left[n], sum,
                                       __builtin_fma(s->direct[n], v, s->from_right[n] * g));
      sum = __builtin_fma(s->forward[n], sum, __builtin_fma(s->collect[n], v, s->cross[n] * g));
      state[n] = __builtin_fma(keep, state[n], __builtin_fma(after[n], u, out));
    }
    row = NAME(emit)(&rows, row, signal.first + (uint64_t)t + 1, order, state);
  }
}

static void NAME(rotation_steps)(ptrdiff_t order, const double *cosines, const double *sines,
                                 double keep, double take, const double *input, const double *ends,
                                 const double *gains, ckernels_signal signal, double *state,
                                 ckernels_rows rows) {
  double *row = rows.rows;
  for (ptrdiff_t t = 0; t < signal.count; ++t) {
    const double u = signal.samples[t * signal.stride];
    // The sum is linear in the state before: four chains, so that it waits for no addition.
    double sums[4] = {0, 0, 0, 0};
    for (ptrdiff_t n = 0; n < order; n += 2) {
      const double c = cosines[n / 2], s = sines[n / 2], a = take * state[n], b = take * state[n + 1];
      const double x = __builtin_fma(c, a, __builtin_fma(-s, b, input[n] * u));
      const double y = __builtin_fma(s, a, __builtin_fma(c, b, input[n + 1] * u));
      double *sum = sums + (n / 2) % 4;
      *sum = __builtin_fma(ends[n], x, __builtin_fma(ends[n + 1], y, *sum));
      state[n] = __builtin_fma(keep, state[n], x);
      state[n + 1] = __builtin_fma(keep, state[n + 1], y);
    }
    const double total = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    for (ptrdiff_t n = 0; n < order; ++n) state[n] = __builtin_fma(-total, gains[n], state[n]);
    row = NAME(emit)(&rows, row, signal.first + (uint64_t)t + 1, order, state);
  }
}

/// The powers 0 to `count` - 1 of a complex number times a first factor, by halving exponents:
/// errors grow with the logarithm of the exponent and no faster than the number's own.
static void NAME(powers)(ptrdiff_t count, const double *value, const double *first, double *powers) {
  powers[0] = first[0];
  powers[1] = first[1];
  double re = value[0], im = value[1];
  for (ptrdiff_t half = 1; half < count; half *= 2) {
    // (re, im) is the power `half`.
    for (ptrdiff_t i = 0; i < half && half + i < count; ++i) {
      const double a = powers[2 * i], b = powers[2 * i + 1];
      powers[2 * (half + i)] = __builtin_fma(a, re, -(b * im));
      powers[2 * (half + i) + 1] = __builtin_fma(a, im, b * re);
    }
    const double square = __builtin_fma(re, re, -(im * im));
    im = 2 * re * im;
    re = square;
  }
}

static void NAME(vandermonde)(ptrdiff_t modes, ptrdiff_t length, const double *values,
                              const double *weights, double *kernel, double *scratch) {
  // l = VANDERMONDE j + i: a product of [steps of j, modes] and [modes, steps of i].
  const ptrdiff_t blocks = (length + VANDERMONDE - 1) / VANDERMONDE;
  double *small = scratch, *large = small + 2 * modes * VANDERMONDE, *work = large + 2 * modes * blocks;
  const double one[2] = {1, 0};
  for (ptrdiff_t n = 0; n < modes; ++n) {
    NAME(powers)(VANDERMONDE, values + 2 * n, one, work);
    double *re = small + 2 * n * VANDERMONDE, *im = re + VANDERMONDE;
    for (ptrdiff_t i = 0; i < VANDERMONDE; ++i) re[i] = work[2 * i], im[i] = work[2 * i + 1];
    // The power VANDERMONDE: one more product.
    const double a = work[2 * VANDERMONDE - 2], b = work[2 * VANDERMONDE - 1];
    const double step[2] = {__builtin_fma(a, values[2 * n], -(b * values[2 * n + 1])),
                            __builtin_fma(a, values[2 * n + 1], b * values[2 * n])};
    const double twice[2] = {2 * weights[2 * n], 2 * weights[2 * n + 1]};
    NAME(powers)(blocks, step, twice, work);
    for (ptrdiff_t j = 0; j < blocks; ++j) {
      large[2 * (j * modes + n)] = work[2 * j];
      large[2 * (j * modes + n) + 1] = -work[2 * j + 1];
    }
  }
  enum { WIDE = 4, TALL = 4 };
  for (ptrdiff_t j = 0; j < blocks; j += TALL) {
    const ptrdiff_t rows = blocks - j < TALL ? blocks - j : TALL;
    for (ptrdiff_t i = 0; i < VANDERMONDE; i += 8 * WIDE) {
      octet sums[TALL][WIDE];
      for (int row = 0; row < TALL; ++row)
        for (int v = 0; v < WIDE; ++v) sums[row][v] = 0.0;
      const double *factors[TALL];
      for (int row = 0; row < TALL; ++row)
        factors[row] = large + 2 * modes * (j + (row < rows ? row : 0));
      for (ptrdiff_t n = 0; n < 2 * modes; ++n) {
        const double *from = small + n * VANDERMONDE + i;
        for (int row = 0; row < TALL; ++row) {
          const octet factor = factors[row][n];
          for (int v = 0; v < WIDE; ++v)
            sums[row][v] = fused8(load8(from + 8 * v), factor, sums[row][v]);
        }
      }
      for (ptrdiff_t row = 0; row < rows; ++row)
        for (int v = 0; v < WIDE; ++v)
          for (int lane = 0; lane < 8; ++lane) {
            const ptrdiff_t l = (j + row) * VANDERMONDE + i + 8 * v + lane;
            if (l < length) kernel[l] = sums[row][v][lane];
          }
    }
  }
}

#undef octet
#undef load8
#undef store8
#undef fused8
