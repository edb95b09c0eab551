/*
 * Eigenvalues and eigenvectors of a small symmetric matrix by cyclic Jacobi rotations (Golub and Van
 * Loan, "Matrix Computations", 4th edition, 8.5). For 16 x 16 it takes some tens of microseconds.
 *
 * It is not LAPACK's dsyev, because OpenBLAS, which is what LAPACK mostly is, starts
 * threads when the program is loaded, reserves 256 MB of address space at the first
 * call, outside every ledger, and waits for ever where `ulimit -v` refuses them.
 */
#ifndef MS_LATENTS_SYMMETRIC_EIGEN_H
#define MS_LATENTS_SYMMETRIC_EIGEN_H

/* a: [n][n], finite; destroyed. ret_values: [n], descending; ret_vectors: [n][n], the k-th
   row belongs to the k-th value and has length 1. The same input gives the same bits. */
void ms_symmetric_eigen(double *a, int n, double *ret_values, double *ret_vectors);

#endif
