#include "include/statespaces.h"

/// Powers that `vandermonde` keeps as they are; the rest is a product of two tables.
enum { VANDERMONDE = 128 };

/// A bound of the norm of LegS' matrix in orthonormal scaling: its Frobenius norm.
static inline double legs_norm_bound(ptrdiff_t order) {
  const double n = (double)order;
  return 0.7072 * n * n + n;
}

/// ln((k+1)/k) = 2 atanh(1/(2k+1)), by its series: the same bits on every machine.
static inline double log_of_step(double k) {
  const double z = 1 / (2 * k + 1), square = z * z;
  double sum = 0;
  for (int power = 37; power > 1; power -= 2) sum = __builtin_fma(sum, square, 1.0 / power);
  return 2 * z * __builtin_fma(sum, square, 1);
}

#define NAME(name) name##_baseline
#include "kernels/statespaces.h"
#undef NAME

#if defined(__x86_64__)
#define NAME(name) name##_avx2
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#include "kernels/statespaces.h"
#pragma clang attribute pop
#undef NAME

#define NAME(name) name##_avx512
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), apply_to = function)
#include "kernels/statespaces.h"
#pragma clang attribute pop
#undef NAME

#define CALL(isa, function, ...)                                               \
  switch (isa) {                                                               \
    case CKERNELS_AVX512: function##_avx512(__VA_ARGS__); return;              \
    case CKERNELS_AVX2: function##_avx2(__VA_ARGS__); return;                  \
    case CKERNELS_BASELINE: function##_baseline(__VA_ARGS__); return;          \
  }
#else
#define CALL(isa, function, ...) (void)(isa), function##_baseline(__VA_ARGS__);
#endif

uint64_t ckernels_legs_dense_until(ptrdiff_t order, uint64_t substeps) {
  return (uint64_t)(legs_norm_bound(order) / (double)substeps) + 1;
}

size_t ckernels_vandermonde_scratch(ptrdiff_t modes, ptrdiff_t length) {
  const ptrdiff_t blocks = (length + VANDERMONDE - 1) / VANDERMONDE;
  const ptrdiff_t longer = blocks > VANDERMONDE ? blocks : VANDERMONDE;
  return (size_t)(2 * modes * (VANDERMONDE + blocks) + 2 * longer);
}

void ckernels_legs_steps(ckernels_isa isa, ckernels_legs_convention convention, ptrdiff_t order,
                         const double *norms, double *scratch, ckernels_signal signal, double *state,
                         ckernels_rows rows) {
  CALL(isa, legs_steps, convention, order, norms, scratch, signal, state, rows)
}

void ckernels_dense_steps(ckernels_isa isa, ptrdiff_t order, ptrdiff_t padded, const double *columns,
                          const double *input, double *scratch, ckernels_signal signal, double *state,
                          ckernels_rows rows) {
  CALL(isa, dense_steps, order, padded, columns, input, scratch, signal, state, rows)
}

void ckernels_sweep_steps(ckernels_isa isa, ptrdiff_t order, const ckernels_sweeps *sweeps, double keep,
                          double take, const double *input, const double *after, double *scratch,
                          ckernels_signal signal, double *state, ckernels_rows rows) {
  CALL(isa, sweep_steps, order, sweeps, keep, take, input, after, scratch, signal, state, rows)
}

void ckernels_rotation_steps(ckernels_isa isa, ptrdiff_t order, const double *cosines,
                             const double *sines, double keep, double take, const double *input,
                             const double *ends, const double *gains, ckernels_signal signal,
                             double *state, ckernels_rows rows) {
  CALL(isa, rotation_steps, order, cosines, sines, keep, take, input, ends, gains, signal, state, rows)
}

void ckernels_vandermonde(ckernels_isa isa, ptrdiff_t modes, ptrdiff_t length, const double *values,
                          const double *weights, double *kernel, double *scratch) {
  CALL(isa, vandermonde, modes, length, values, weights, kernel, scratch)
}
