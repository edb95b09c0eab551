/*
 * Pictures of high dynamic range: signals in PQ (SMPTE ST 2084) or HLG (ARIB STD-B67), both ITU-R BT.2100.
 *
 * There are two ways to work on them. Tone mapping makes ordinary pictures of them (BT.709) for
 * good. A view is such a picture for the time of the work only. It is made channel by channel
 * and is reversible, so that what was redrawn in it finds its way back into the signal, while
 * samples that were not touched stay what they were. docs/media.md, "HDR", has the curves.
 */
#ifndef MS_MEDIA_HDR_H
#define MS_MEDIA_HDR_H

#include "base/error.h"
#include "media/media.h"

#define MS_TRANSFER_PQ 16 /* code points of ITU-T H.273 */
#define MS_TRANSFER_HLG 18

/* "PQ", "HLG"; NULL: the transfer is of ordinary pictures. */
const char *ms_hdr_name(int transfer);

/* ---- tone mapping ---- */

typedef struct ms_tonemap ms_tonemap;

/* A map for RGB signals of that transfer and those primaries (9 = BT.2020;
   unspecified ones are taken for it). */
ms_status ms_tonemap_create(ms_mem *mem, int transfer, int primaries, ms_tonemap **ret_map, ms_error *err);
void ms_tonemap_destroy(ms_tonemap **map);

/* Maps n pixels: R, G, B of 16 bits to R, G, B of 8 in BT.709's signal and primaries. */
void ms_tonemap_row(const ms_tonemap *map, const uint16_t *src, uint8_t *dst, size_t n);

/* ---- the view ---- */

typedef struct ms_hdr_view ms_hdr_view;

ms_status ms_hdr_view_create(ms_mem *mem, int transfer, ms_hdr_view **ret_view, ms_error *err);
void ms_hdr_view_destroy(ms_hdr_view **view);

/* Maps n samples of 16 bits to what the view shows of them. */
void ms_hdr_view_row(const ms_hdr_view *view, const uint16_t *src, uint8_t *dst, size_t n);

/* Goes the other way, for n samples that may have been redrawn since. Those whose view is still the same
   stay; the others move by as much as their view did, so that steps of the 8 bits do not show in the 16. */
void ms_hdr_view_put_back(const ms_hdr_view *view, const uint8_t *redrawn, uint16_t *samples, size_t n);

#endif
