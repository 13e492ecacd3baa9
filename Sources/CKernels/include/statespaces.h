#pragma once
#include <stdint.h>

#include "CKernels.h"

// Steps of state spaces over a signal, in doubles. Every instruction set gives the same bits: vectors
// have 8 lanes everywhere, each multiply-add is fused, sums run in one order.
//
// Pointers need no alignment beyond a double's. Nothing here allocates.

/// Samples of one channel.
typedef struct {
  const double *samples;
  /// From one sample to the next, in doubles.
  ptrdiff_t stride;
  ptrdiff_t count;
  /// The samples that were seen before.
  uint64_t first;
} ckernels_signal;

/// Where states go: after each sample whose number, counted from 1, is a multiple of `every`.
typedef struct {
  double *rows;
  /// From one row to the next, in doubles.
  ptrdiff_t stride;
  uint64_t every;
  /// A factor for each state as it is written.
  const double *scales;
} ckernels_rows;

/// The conventions of x' = (A x + B u) / t.
typedef enum {
  CKERNELS_LEGS_PAPER = 0,
  CKERNELS_LEGS_TRAP = 1,
  CKERNELS_LEGS_HIPPO_C = 2,
  CKERNELS_LEGS_HIPPO_PY = 3,
  CKERNELS_LEGS_OPTIMAL = 4,
} ckernels_legs_convention;

/// LegS in orthonormal scaling, O(order) a step.
///
/// `norms` are sqrt(2n+1); `scratch` holds 2 (order + 7) doubles. The first sample gives the state
/// u e0, except in HIPPO_PY.
void ckernels_legs_steps(ckernels_isa isa, ckernels_legs_convention convention, ptrdiff_t order,
                         const double *norms, double *scratch, ckernels_signal signal, double *state,
                         ckernels_rows rows);

/// The least number of samples seen before from which the exact step of LegS takes at most
/// `substeps` parts.
uint64_t ckernels_legs_dense_until(ptrdiff_t order, uint64_t substeps);

/// x[k+1] = A x[k] + B u[k] with a dense A, given by columns, each padded to `padded` rows, a multiple
/// of 8; `state` and `scratch` have `padded` doubles.
void ckernels_dense_steps(ckernels_isa isa, ptrdiff_t order, ptrdiff_t padded, const double *columns,
                          const double *input, double *scratch, ckernels_signal signal, double *state,
                          ckernels_rows rows);

/// An operator that two sweeps apply in O(order): backwards g[n] = backward[n] g[n+1] + gather[n] v[n],
/// forwards out[n] = direct[n] v[n] + from_left[n] f[n] + from_right[n] g[n+1] and
/// f[n+1] = forward[n] f[n] + collect[n] v[n] + cross[n] g[n+1].
typedef struct {
  const double *backward, *gather;
  const double *direct, *from_left, *from_right;
  const double *forward, *collect, *cross;
} ckernels_sweeps;

/// x[k+1] = keep x[k] + operator(take x[k] + input u[k]) + after u[k]; `scratch` has 2 (order + 1) doubles.
void ckernels_sweep_steps(ckernels_isa isa, ptrdiff_t order, const ckernels_sweeps *sweeps, double keep,
                          double take, const double *input, const double *after, double *scratch,
                          ckernels_signal signal, double *state, ckernels_rows rows);

/// x[k+1] = keep x[k] + w - gains (ends . w), where w turns and scales each pair of take x[k], by
/// [[cosines, -sines], [sines, cosines]], and adds input u[k]; `order` is even.
void ckernels_rotation_steps(ckernels_isa isa, ptrdiff_t order, const double *cosines,
                             const double *sines, double keep, double take, const double *input,
                             const double *ends, const double *gains, ckernels_signal signal,
                             double *state, ckernels_rows rows);

/// kernels[c][l] = 2 Re sum of weights[c][n] values[c][n]^l over the modes, for l below `length`.
///
/// Complex numbers are pairs of doubles. `scratch` has `ckernels_vandermonde_scratch` doubles.
void ckernels_vandermonde(ckernels_isa isa, ptrdiff_t modes, ptrdiff_t length, const double *values,
                          const double *weights, double *kernel, double *scratch);

/// The scratch of `ckernels_vandermonde`, in doubles.
size_t ckernels_vandermonde_scratch(ptrdiff_t modes, ptrdiff_t length);
