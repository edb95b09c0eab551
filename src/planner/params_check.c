#include "planner/params_check.h"

#include <math.h>

#include "base/error.h"

/* A fraction with larger numbers is no rate that anybody films at, and would leave
   no room for time stamps. */
#define MAX_RATE_PART 1000000
#define MIN_RATE 0.01
#define MAX_RATE 1000
#define MAX_SIDE 16384

ms_status ms_check_frames(int64_t frames, ms_error *err) {
    if (frames < 0 || frames > MS_RUN_MAX_FRAMES)
        return ms_fail(err, MS_INVALID_ARGUMENT, "frames must be 1 to %lld, or 0 for all, not %lld",
                       (long long)MS_RUN_MAX_FRAMES, (long long)frames);
    return MS_OK;
}

ms_status ms_check_window(int window, ms_error *err) {
    if (window < 2 || window > 1000)
        return ms_fail(err, MS_INVALID_ARGUMENT, "window must be 2 to 1000, not %d", window);
    return MS_OK;
}

ms_status ms_check_rate(int num, int den, ms_error *err) {
    if (num == 0)
        return MS_OK;
    double rate = den > 0 ? (double)num / den : 0;
    if (num < 0 || den < 1 || num > MAX_RATE_PART || den > MAX_RATE_PART || rate < MIN_RATE ||
        rate > MAX_RATE)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "%d/%d is no frame rate: it must be %g to %d, a fraction of numbers up to %d", num,
                       den, MIN_RATE, MAX_RATE, MAX_RATE_PART);
    return MS_OK;
}

ms_status ms_check_size(int width, int height, ms_error *err) {
    if (width < 2 || height < 2 || width > MAX_SIDE || height > MAX_SIDE)
        return ms_fail(err, MS_INVALID_ARGUMENT, "frames must have 2x2 to %dx%d pixels, not %dx%d", MAX_SIDE,
                       MAX_SIDE, width, height);
    return MS_OK;
}

ms_status ms_check_max_gap(int max_gap, ms_error *err) {
    if (max_gap < 0 || max_gap > 1000)
        return ms_fail(err, MS_INVALID_ARGUMENT, "max_gap must be 0 to 1000 frames, not %d", max_gap);
    return MS_OK;
}

ms_status ms_check_face(int face, ms_error *err) {
    if (face < -1)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "face must be a track's number from 0, or -1 for the largest face, not %d", face);
    return MS_OK;
}

ms_status ms_check_resolution(int resolution, ms_error *err) {
    if (resolution != 0 && (resolution < 64 || resolution > 2048))
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "resolution must be 64 to 2048 pixels, or 0 for the model's, not %d", resolution);
    return MS_OK;
}

ms_status ms_check_denoising(int steps, double guidance, ms_error *err) {
    if (steps < 1 || steps > 999)
        return ms_fail(err, MS_INVALID_ARGUMENT, "steps must be 1 to 999, not %d", steps);
    if (!isfinite(guidance) || guidance < 0 || guidance > 100)
        return ms_fail(err, MS_INVALID_ARGUMENT, "guidance must be 0 to 100, not %g", guidance);
    return MS_OK;
}

ms_status ms_check_choice(const char *name, int value, int count, ms_error *err) {
    if (value < 0 || value >= count)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s %d is none that there is: they go from 0 to %d", name,
                       value, count - 1);
    return MS_OK;
}
