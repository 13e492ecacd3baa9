// The compiler's own instruction set: on Arm NEON; on x86-64 there is no FMA, so each is a call of fmaf.
#include "kernels/kernels.h"

#define NAME(name) name##_baseline
#define WIDTH 4
#define ROWS 6
#define VECTORS 4

#include "kernels/vector.h"
#include "kernels/product.h"
#include "kernels/convolution.h"
#include "kernels/winograd.h"
#include "kernels/normalization.h"
#include "kernels/attention.h"
#include "kernels/nearest.h"
#include "kernels/layout.h"
