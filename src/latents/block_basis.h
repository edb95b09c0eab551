/*
 * The prediction of a block [frames][values] of floats: a truncated SVD over time.
 *
 * The rows of such a block are frames of one face and much alike. With A = U S V' the
 * rows are predicted from the first k components, basis U_k [frames][k] and coefficients
 * S_k V_k' [k][values]. What is stored are the coefficients divided by one step and
 * rounded, so that the decoder's prediction is made of integers and the basis alone:
 *
 *     prediction[f][v] = sum over ascending c of basis[f][c] * (coefficient[c][v] * step)
 *
 * each product and sum rounded to float on its own, which every machine does alike.
 *
 * U comes from the eigenvectors of the Gram matrix A A' (frames x frames): for blocks
 * that are thousands of times wider than high this is the same basis for a fraction of an
 * SVD's time and memory, and what it loses in the smallest components is not kept anyway.
 */
#ifndef MS_LATENTS_BLOCK_BASIS_H
#define MS_LATENTS_BLOCK_BASIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of work that ms_block_basis() needs. */
size_t ms_block_basis_work_bytes(int frames);

typedef struct ms_block_basis_params {
    int frames;
    double values;      /* columns */
    int max_components; /* below frames */
    /* take max_components in any case; else only as many of them as are worth their bits */
    bool all;
} ms_block_basis_params;

/*
 * gram: [frames][frames], both triangles; destroyed. ret_basis: [frames][components]. The
 * step is the one at which rounding errs as much in each component as leaving out the ones
 * that are left out does on average (reverse water-filling; Cover and Thomas, "Elements of
 * Information Theory", 10.3.3): finer costs more in coefficients than it saves in the
 * residual, coarser the other way round. *ret_components 0: no prediction helps.
 */
void ms_block_basis(const ms_block_basis_params *params, double *gram, void *work, int *ret_components,
                    float *ret_step, float *ret_basis);

/* gram += rows rows' over count columns. rows: [frames][stride]. */
void ms_block_gram(const float *rows, int frames, size_t count, size_t stride, double *gram);

/* coefficients[c][v] = round(sum of basis * rows / step), limited to 2^30 in size. scratch: [count]. */
void ms_block_project(const float *rows, int frames, size_t count, const float *basis, int components,
                      float step, float *scratch, int32_t *ret_coefficients);

/* The prediction above for one frame; basis: the frame's row. */
void ms_block_predict(const int32_t *coefficients, int components, size_t count, const float *basis,
                      float step, float *ret_row);

#endif
