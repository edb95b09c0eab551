/* The public interface of libmemsafe, whole. */
#ifndef MEMSAFE_MEMSAFE_H
#define MEMSAFE_MEMSAFE_H

#include "memsafe/adaptive.h"
#include "memsafe/batches.h"
#include "memsafe/detect.h"
#include "memsafe/device.h"
#include "memsafe/frame_stream.h"
#include "memsafe/history.h"
#include "memsafe/integrate.h"
#include "memsafe/latents.h"
#include "memsafe/libav_log.h"
#include "memsafe/library.h"
#include "memsafe/log.h"
#include "memsafe/memory.h"
#include "memsafe/model.h"
#include "memsafe/models.h"
#include "memsafe/optimizer.h"
#include "memsafe/plan.h"
#include "memsafe/pressure.h"
#include "memsafe/probe.h"
#include "memsafe/profile.h"
#include "memsafe/run.h"
#include "memsafe/run_stream.h"
#include "memsafe/score.h"
#include "memsafe/session.h"
#include "memsafe/status.h"
#include "memsafe/version.h"

#endif
