// Vectors of `WIDTH` floats and what is done with them, lane by lane. Included once for each
// instruction set, which defines NAME(name), WIDTH, and the microkernel's ROWS and VECTORS.

#pragma STDC FP_CONTRACT OFF

// Vectors only pass between functions that are inlined.
#pragma clang diagnostic ignored "-Wpsabi"

#define INLINE static inline __attribute__((always_inline))

typedef float NAME(vector) __attribute__((ext_vector_type(WIDTH)));
typedef float NAME(loose) __attribute__((ext_vector_type(WIDTH), aligned(4)));
typedef int NAME(integers) __attribute__((ext_vector_type(WIDTH)));
#define vector NAME(vector)
#define integers NAME(integers)

INLINE vector NAME(load)(const float *from) { return *(const NAME(loose) *)from; }
INLINE void NAME(store)(float *to, vector value) { *(NAME(loose) *)to = value; }
INLINE vector NAME(fused)(vector a, vector b, vector c) { return __builtin_elementwise_fma(a, b, c); }
/// Lanes of `a` where `mask` is all ones, of `b` where it is zero.
INLINE vector NAME(chosen)(integers mask, vector a, vector b) {
  return (vector)((mask & (integers)a) | (~mask & (integers)b));
}
#define load NAME(load)
#define store NAME(store)
#define fused NAME(fused)
#define chosen NAME(chosen)

/// e^x within 1 unit in the last place or so: x = n ln 2 + r, a polynomial in r, times 2^n.
///
/// Below -87.3 the result is 0, above 88.3 it is e^88.3. NaN stays NaN.
INLINE vector NAME(exponential_of)(vector x) {
  const vector zero = 0.0f;
  vector top = 88.3f;
  vector y = chosen(x > top, top, x);
  // Adding 1.5 * 2^23 rounds to an integer, half to even, and leaves it in the low bits.
  vector shifted = fused(y, (vector)0x1.715476p+0f, (vector)0x1.8p+23f);
  vector n = shifted - 0x1.8p+23f;
  // ln 2 in two parts; the first has few enough bits that its product with n is exact.
  vector r = fused(n, (vector)-0x1.62ep-1f, y);
  r = fused(n, (vector)-0x1.0bfbe8p-15f, r);
  // (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2, fitted to a relative error of e^r of 3.1e-9.
  vector q = fused((vector)0x1.6a2252p-10f, r, (vector)0x1.123b04p-7f);
  q = fused(q, r, (vector)0x1.5558f8p-5f);
  q = fused(q, r, (vector)0x1.555490p-3f);
  q = fused(q, r, (vector)0x1.fffffcp-2f);
  vector p = fused(q, r * r, r) + 1.0f;
  vector power = (vector)(((integers)shifted << 23) + 0x3f800000);
  return chosen(x < (vector)-87.3f, zero, p * power);
}
#define exponential_of NAME(exponential_of)

/// x / (1 + e^-x).
INLINE vector NAME(silu_of)(vector x) { return x / (exponential_of(-x) + 1.0f); }
#define silu_of NAME(silu_of)
