/* What a card that is not here may reach, by what its maker says of it. */
#ifndef MS_PREDICT_ROOFLINE_H
#define MS_PREDICT_ROOFLINE_H

#include "base/dtype.h"
#include "device/cards.h"
#include "predict/calibration.h"

/*
 * A roofline (Williams, Waterman, Patterson 2009): what is computed goes at a part of the peak, what is moved
 * at a part of the bandwidth. The parts are what kernels of mma.sync reach elsewhere: FlashAttention-2 35 %
 * of an H100's peak (Shah et al. 2024), matrices half of it. activation: what the networks keep; float32 is
 * computed without tensor cores.
 */
ms_calibration ms_roofline(const ms_card *card, ms_dtype activation);

#endif
