/*
 * The fixed mask (white, 255 = kept; black, 0 = redrawn by the model) and what it does to a face
 * (load_fixed_mask and ImageProcessor.preprocess_fixed_mask_image in latentsync/utils/image_processor.py;
 * LipsyncPipeline.prepare_mask_latents and paste_surrounding_pixels_back). Faces and float pictures are
 * interleaved RGB, resolution x resolution.
 */
#ifndef MS_PICTURES_MASK_H
#define MS_PICTURES_MASK_H

#include "memsafe/status.h"
#include "pictures/image.h"

/* resolution: a multiple of 8 from 64 to 2048. */
size_t ms_face_mask_workspace_bytes(int resolution);

/* ret_mask: [resolution][resolution], the 256x256 mask after cv2's Lanczos-4 (so grey at the edges unless the
   resolution is 256). */
ms_status ms_face_mask(int resolution, uint8_t *ret_mask, void *work, size_t work_bytes, ms_error *err);

/* ret_latent: [resolution / 8][resolution / 8], mask / 255 at every eighth pixel (nearest). */
void ms_face_mask_latent(const uint8_t *mask, int resolution, float *ret_latent);

/* ret_pixels: (face / 255 - 1/2) / (1/2). */
void ms_face_pixels(const ms_image_view *face, float *ret_pixels);

/* ret_pixels: the same times mask / 255, the product in double. */
void ms_face_masked_pixels(const ms_image_view *face, const uint8_t *mask, float *ret_pixels);

/* decoded <- decoded m + pixels(face) (1 - m) with m = 1 - mask / 255: what the model was not asked to redraw
   comes back from the aligned face. */
void ms_face_paste_surroundings(const ms_image_view *face, const uint8_t *mask, float *decoded);

#endif
