/* The public interface of libmemsafe, whole. */
#ifndef MEMSAFE_MEMSAFE_H
#define MEMSAFE_MEMSAFE_H

#include "memsafe/detect.h"
#include "memsafe/optimizer.h"
#include "memsafe/plan.h"
#include "memsafe/run.h"
#include "memsafe/status.h"
#include "memsafe/version.h"

#endif
