#include "kernels/kernels.h"

#pragma STDC FP_CONTRACT OFF

static ptrdiff_t panels_of(ptrdiff_t channels) { return (channels + PANEL - 1) / PANEL; }

size_t ckernels_packed_direct_size(ptrdiff_t out_channels, ptrdiff_t in_channels, ptrdiff_t taps) {
  return (size_t)(panels_of(out_channels) * PANEL * in_channels * taps);
}

void ckernels_pack_direct(ptrdiff_t out_channels, ptrdiff_t in_channels, ptrdiff_t taps,
                          const float *weights, float *packed) {
  for (ptrdiff_t panel = 0; panel < panels_of(out_channels); ++panel)
    for (ptrdiff_t tap = 0; tap < taps; ++tap)
      for (ptrdiff_t in = 0; in < in_channels; ++in)
        for (ptrdiff_t column = 0; column < PANEL; ++column) {
          const ptrdiff_t out = panel * PANEL + column;
          *packed++ = out < out_channels ? weights[(out * in_channels + in) * taps + tap] : 0.0f;
        }
}

size_t ckernels_packed_winograd_size(ptrdiff_t out_channels, ptrdiff_t in_channels) {
  return 36 * ckernels_packed_direct_size(out_channels, in_channels, 1);
}

/// The weights' transform along one direction: [1, p, p^2] / prod (p - q) for each finite point p.
static void weight_line(const double *g, ptrdiff_t step, double *u, ptrdiff_t u_step) {
  const double a = 0.625, b = 1.5, a2 = a * a, b2 = b * b;
  const double fa = 2 * a2 * (a2 - b2), fb = 2 * b2 * (b2 - a2);
  const double g0 = g[0], g1 = g[step], g2 = g[2 * step];
  u[0] = g0 / (a2 * b2);
  u[u_step] = (g0 + a * g1 + a2 * g2) / fa;
  u[2 * u_step] = (g0 - a * g1 + a2 * g2) / fa;
  u[3 * u_step] = (g0 + b * g1 + b2 * g2) / fb;
  u[4 * u_step] = (g0 - b * g1 + b2 * g2) / fb;
  u[5 * u_step] = g2;
}

void ckernels_pack_winograd(ptrdiff_t out_channels, ptrdiff_t in_channels, const float *weights,
                            float *packed) {
  const ptrdiff_t plane = panels_of(out_channels) * in_channels * PANEL;
  memset(packed, 0, (size_t)(36 * plane) * sizeof(float));
  for (ptrdiff_t out = 0; out < out_channels; ++out)
    for (ptrdiff_t in = 0; in < in_channels; ++in) {
      double g[9], half[18], u[36];
      for (int i = 0; i < 9; ++i) g[i] = (double)weights[(out * in_channels + in) * 9 + i];
      for (int x = 0; x < 3; ++x) weight_line(g + x, 3, half + x, 3);
      for (int y = 0; y < 6; ++y) weight_line(half + 3 * y, 1, u + 6 * y, 1);
      float *to = packed + (out / PANEL * in_channels + in) * PANEL + out % PANEL;
      for (int point = 0; point < 36; ++point) to[point * plane] = (float)u[point];
    }
}
