#if defined(__x86_64__)
// AVX2 with FMA: 6 x 16 sums in 12 of 16 registers.
#include "kernels/kernels.h"

#define NAME(name) name##_avx2
#define WIDTH 8
#define ROWS 6
#define VECTORS 2

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#include "kernels/vector.h"
#include "kernels/product.h"
#include "kernels/convolution.h"
#include "kernels/winograd.h"
#include "kernels/normalization.h"
#include "kernels/attention.h"
#include "kernels/nearest.h"
#include "kernels/layout.h"
#pragma clang attribute pop
#endif
