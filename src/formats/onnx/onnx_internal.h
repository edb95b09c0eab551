/* What the parts of the ONNX reader share: the open file's memory, and one message format. */
#ifndef MS_FORMATS_ONNX_ONNX_INTERNAL_H
#define MS_FORMATS_ONNX_ONNX_INTERNAL_H

#include "base/region.h"
#include "formats/onnx/onnx_file.h"
#include "memsafe_have.h"

struct onnx_block;

/* file is the first member: what was given out is turned back into its owner. */
typedef struct onnx_owner {
    ms_onnx_file file;
    ms_region region;          /* everything small */
    struct onnx_block *blocks; /* everything large */
    size_t limit_bytes, used_bytes;
    bool over_limit;
    ms_error *err; /* of the call that opens the file */
} onnx_owner;

/* Aligned to 8 bytes, not cleared; NULL when memory or the limit says no. */
void *ms_onnx_alloc(onnx_owner *o, size_t bytes);
void *ms_onnx_alloc_array(onnx_owner *o, size_t count, size_t bytes);

/* What ms_onnx_alloc() returning NULL means: MS_BAD_MODEL for the limit, else MS_HOST_MEMORY. */
ms_status ms_onnx_no_memory(onnx_owner *o);
#ifdef __clang_analyzer__ /* as ms_fail() in base/error.h */
#define ms_onnx_no_memory(o) ((void)(ms_onnx_no_memory)(o), MS_HOST_MEMORY)
#endif

/* Turns the bytes of a file into o->file, whose path is set. */
ms_status ms_onnx_read(onnx_owner *o, const void *data, size_t bytes);

#if MS_HAVE_ONNX
#include "onnx.pb-c.h"

/* A tensor of the file with its values widened; the parsed one's data may be taken over. who names it in
   messages. */
ms_status ms_onnx_read_tensor(onnx_owner *o, const Ms__Onnx__Tensor *from, const char *who,
                              const ms_onnx_tensor **ret_tensor);
#endif

#endif
