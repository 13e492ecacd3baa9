#pragma once
#include <stddef.h>

// The routines of LAPACK and BLAS that Tessera calls, as gfortran exports them: every argument by
// address, matrices column-major, and the length of each character argument by value at the end.
//
// The module map names the static reference libraries of Debian's liblapack-dev and libblas-dev, and
// not whatever `liblapack.so.3` points to on a machine: OpenBLAS and ATLAS choose kernels by the CPU
// and the number of threads, so their last digits differ from one machine to the next. (libblas.a is
// the reference too, unless the machine that builds has another BLAS installed and preferred.)

typedef struct {
  double real, imaginary;
} clapack_complex;

/// Solves A X = B by LU with partial pivoting.
void dgesv_(const int *n, const int *columns, double *a, const int *lda, int *pivots, double *b,
            const int *ldb, int *info);
/// The same for complex numbers.
void zgesv_(const int *n, const int *columns, void *a, const int *lda, int *pivots, void *b,
            const int *ldb, int *info);
/// Eigenvalues, and right eigenvectors where asked for, of a complex matrix.
void zgeev_(const char *left, const char *right, const int *n, void *a, const int *lda, void *w,
            void *vl, const int *ldvl, void *vr, const int *ldvr, void *work, const int *lwork,
            double *rwork, int *info, size_t left_length, size_t right_length);
/// Eigenvalues of a real matrix.
void dgeev_(const char *left, const char *right, const int *n, double *a, const int *lda, double *wr,
            double *wi, double *vl, const int *ldvl, double *vr, const int *ldvr, double *work,
            const int *lwork, int *info, size_t left_length, size_t right_length);
/// Eigenvalues, ascending, and eigenvectors of a Hermitian matrix.
void zheev_(const char *vectors, const char *triangle, const int *n, void *a, const int *lda,
            double *w, void *work, const int *lwork, double *rwork, int *info, size_t vectors_length,
            size_t triangle_length);
/// Singular values, descending, of a complex matrix.
void zgesvd_(const char *left, const char *right, const int *m, const int *n, void *a, const int *lda,
             double *s, void *u, const int *ldu, void *vt, const int *ldvt, void *work,
             const int *lwork, double *rwork, int *info, size_t left_length, size_t right_length);
/// C = alpha A B + beta C.
void dgemm_(const char *transpose_a, const char *transpose_b, const int *m, const int *n, const int *k,
            const double *alpha, const double *a, const int *lda, const double *b, const int *ldb,
            const double *beta, double *c, const int *ldc, size_t a_length, size_t b_length);
/// The same for complex numbers.
void zgemm_(const char *transpose_a, const char *transpose_b, const int *m, const int *n, const int *k,
            const void *alpha, const void *a, const int *lda, const void *b, const int *ldb,
            const void *beta, void *c, const int *ldc, size_t a_length, size_t b_length);
