#include "predict/roofline.h"

/* Parts of the peak. */
#define MATRIX_PART 0.5
#define ATTENTION_PART 0.35
#define BANDWIDTH_PART 0.8
/* Half of PCI Express 4.0's 32 GB/s: weights are read over it. */
#define LINK_BYTES_S 16e9
/* A launch in a stream takes some 5 us. */
#define LAUNCHES_S 2e5

ms_calibration ms_roofline(const ms_card *c, ms_dtype activation) {
    double peak = (activation == MS_F32 ? c->float_tflops : c->tensor_tflops) * 1e12;
    double moved = BANDWIDTH_PART * c->gbytes_s * 1e9;
    return (ms_calibration){.conv_flops = MATRIX_PART * peak,
                            .linear_flops = MATRIX_PART * peak,
                            .attention_flops = ATTENTION_PART * peak,
                            .moved_bytes = moved,
                            .weight_bytes = moved,
                            .pack_bytes = LINK_BYTES_S,
                            .disk_bytes = LINK_BYTES_S,
                            .passes = LAUNCHES_S};
}
