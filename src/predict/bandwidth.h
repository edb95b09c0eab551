/* Measures how fast this machine moves bytes, from a file and to a device, in less than a second each. */
#ifndef MS_PREDICT_BANDWIDTH_H
#define MS_PREDICT_BANDWIDTH_H

#include "device/compute.h"

typedef struct ms_bandwidth {
    size_t bytes; /* moved in the measurement */
    double seconds;
    double bytes_per_s;
    bool direct; /* a file: read past the page cache (O_DIRECT); else its cached pages were dropped before */
} ms_bandwidth;

typedef struct ms_bandwidth_params {
    ms_mem *mem;
    size_t block_bytes; /* of an upload, on either side; 0 = 64 MiB, which no cache holds */
    double limit_s;     /* no new block is begun after that; 0 = 0.5 */
    size_t limit_bytes; /* nor beyond these; 0 = 1 GiB for a file, 4 GiB for a device */
} ms_bandwidth_params;

/* Reads a file in blocks of 4 MiB, from its start again at its end. MS_IO when it cannot be read or is
   empty. A small file may come from a cache of the drive itself; a checkpoint does not. */
ms_status ms_bandwidth_of_file(const ms_bandwidth_params *params, const char *path,
                               ms_bandwidth *ret_bandwidth, ms_error *err);

/* Uploads a block again and again. On the cpu back end an upload is a copy
   within host memory. MS_DEVICE_MEMORY when the device has no room for the block. */
ms_status ms_bandwidth_of_upload(const ms_bandwidth_params *params, const ms_compute *compute,
                                 ms_bandwidth *ret_bandwidth, ms_error *err);

#endif
