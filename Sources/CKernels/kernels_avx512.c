#if defined(__x86_64__)
// AVX-512: 8 x 32 sums in 16 of 32 registers.
#include "kernels/kernels.h"

#define NAME(name) name##_avx512
#define WIDTH 16
#define ROWS 8
#define VECTORS 2

#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), apply_to = function)
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
