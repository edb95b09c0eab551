/*
 * The directory of a zip archive whose members are stored, not compressed, as torch.save writes it (PKWARE
 * APPNOTE 6.3.10, with zip64). The central directory is believed, local headers must agree with it.
 */
#ifndef MS_FORMATS_TORCH_ZIP_H
#define MS_FORMATS_TORCH_ZIP_H

#include "formats/source.h"
#include "text/strmap.h"

typedef struct ms_zip_member {
    const char *name;
    uint64_t bytes;
    uint64_t header_offset; /* of its local header in the file */
    uint64_t data_offset;   /* set by ms_zip_locate, 0 before */
    uint32_t crc;           /* 0 = none: some writers leave it out */
    uint16_t method;        /* 0 = stored; others may be listed, but not located */
    bool checksummed;       /* its checksum is with the tensor file */
} ms_zip_member;

typedef struct ms_zip {
    const ms_source *source;
    ms_region *region;
    ms_zip_member *members; /* in the directory's order */
    size_t count;
    ms_strmap names;
    uint64_t directory_offset, directory_bytes;
} ms_zip;

/* MS_BAD_MODEL for what is no such archive, and for encrypted members. Nothing to close: all
   memory is the region's. */
ms_status ms_zip_read(const ms_source *source, ms_region *region, ms_zip *ret_zip, ms_error *err);

/* NULL when absent. */
ms_zip_member *ms_zip_find(const ms_zip *zip, const char *name, size_t length);

/* Finds where a member's data lies, once. MS_BAD_MODEL for a compressed member. */
ms_status ms_zip_locate(const ms_zip *zip, ms_zip_member *member, ms_error *err);

#endif
