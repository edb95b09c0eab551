/*
 * The similarity transform between two sets of three points, in float32 with every rounding where the
 * reference has it (AlignRestore.transformation_from_points in latentsync/utils/affine_transform.py, itself
 * the Procrustes solution with scales from standard deviations).
 */
#ifndef MS_PICTURES_SIMILARITY_H
#define MS_PICTURES_SIMILARITY_H

#include <stdbool.h>

typedef struct ms_similarity {
    float matrix[2][3]; /* to <- from */
    /* The third point's position, relative to the centre and in standard deviations: in `to` less in `from`.
       What the reference smooths over time and adds to the translation. */
    float bias[2];
} ms_similarity;

/* Returns false when the points of `from` coincide or the result is not finite. */
bool ms_similarity_fit(const float from[3][2], const float to[3][2], ms_similarity *ret_fit);

/* A 2x2 singular value decomposition a = u diag(s) v^T, s descending and not negative. The steps are LAPACK's
   sgesdd for this size: Householder to an upper bidiagonal, then slasv2. All matrices are [row][column]. */
void ms_svd_2x2(const float a[2][2], float u[2][2], float s[2], float v[2][2]);

#endif
