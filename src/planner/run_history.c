#include "planner/run_history.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "files/own_file.h"

ms_machine ms_run_machine(const ms_compute *compute) {
    ms_machine m = {.threads = ms_pool_threads(compute->pool)};
    snprintf(m.device, sizeof(m.device), "%s", compute->dev->description);
    return m;
}

static int append_channels(char *text, int at, const int64_t *channels, int levels) {
    for (int i = 0; i < levels && at < MS_HISTORY_TEXT_BYTES; i++)
        at += snprintf(text + at, (size_t)(MS_HISTORY_TEXT_BYTES - at), "%s%" PRId64, i ? "-" : " ",
                       channels[i]);
    return at;
}

/* "UNet 320-640-1280-1280 x 16, VAE 128-256-512-512, Whisper 4 x 384" */
static void describe_model(const ms_engine_params *p, char text[MS_HISTORY_TEXT_BYTES]) {
    const ms_unet_config *u = &p->files->unet_config;
    const ms_vae_config *v = &p->files->vae_config_values;
    const ms_whisper_config *w = &p->files->whisper_config;
    int at = snprintf(text, MS_HISTORY_TEXT_BYTES, "UNet");
    at = append_channels(text, at, u->channels, u->levels);
    if (at < MS_HISTORY_TEXT_BYTES)
        at += snprintf(text + at, (size_t)(MS_HISTORY_TEXT_BYTES - at), " x %d%s, VAE", u->num_frames,
                       p->deepcache ? " DeepCache" : "");
    at = append_channels(text, at, v->channels, v->levels);
    if (at < MS_HISTORY_TEXT_BYTES)
        snprintf(text + at, (size_t)(MS_HISTORY_TEXT_BYTES - at), ", Whisper %d x %d", w->n_layer,
                 w->n_state);
}

ms_history_key ms_run_history_key(const ms_engine_params *p, bool tracked, ms_output_codec codec) {
    static const char *const codecs[] = {
        [MS_OUTPUT_H264] = "h264", [MS_OUTPUT_HEVC] = "hevc", [MS_OUTPUT_FFV1] = "ffv1"};
    ms_history_key key = {.tracked = tracked,
                          .resolution = p->resolution ? p->resolution : p->files->unet_config.resolution};
    describe_model(p, key.model);
    snprintf(key.precision, sizeof(key.precision), "%s", ms_dtype_name(p->precision));
    snprintf(key.codec, sizeof(key.codec), "%s", codecs[codec]);
    return key;
}

static void warn(char *warning, const ms_error *err) {
    ms_log_tell(MS_LOG_WARNING, "history", "%s", err->message);
    snprintf(warning, MS_HISTORY_TEXT_BYTES, "%.255s", err->message);
}

/* Without a history: NULL. */
static ms_history *open_history(const char *path, char *warning) {
    ms_history *history = NULL;
    ms_error err;
    ms_error_clear(&err);
    warning[0] = 0;
    if (path && ms_history_supported() && ms_history_open(path, &history, warning, &err) != MS_OK)
        warn(warning, &err);
    else if (warning[0])
        ms_log_tell(MS_LOG_WARNING, "history", "%s", warning);
    return history;
}

ms_status ms_run_speed_find(const ms_compute *compute, const char *path, const char *disk_file,
                            ms_history_key *key, ms_run_speed *ret_speed,
                            char ret_warning[MS_HISTORY_TEXT_BYTES], ms_error *err) {
    const ms_machine machine = ms_run_machine(compute);
    ms_run_speed speed = ms_run_speed_nominal();
    ms_history *history = open_history(path, ret_warning);
    ms_error trouble;
    ms_error_clear(&trouble);
    ms_status kept = MS_OK, status = MS_OK;
    if (history)
        kept = ms_history_get_calibration(history, &machine, &speed.rates, &speed.calibration, &trouble);
    /* An interpreter's program may be a few KiB, and reading it measures how long a disk takes to begin. */
    if (speed.calibration == 0)
        status = ms_calibrate(compute, disk_file ? disk_file : ms_own_file(), MS_CALIBRATE_QUICK_S,
                              &speed.rates, err);
    if (status == MS_OK && history && kept == MS_OK && speed.calibration == 0)
        kept = ms_history_put_calibration(history, &machine, &speed.rates, &speed.calibration, &trouble);
    key->calibration = speed.calibration;
    if (status == MS_OK && history && kept == MS_OK)
        kept = ms_history_get_ratios(history, key, speed.ratio, &speed.runs, &trouble);
    if (kept != MS_OK)
        warn(ret_warning, &trouble);
    ms_history_close(&history);
    speed.roofline = !compute->dev->caps.host_memory;
    if (speed.roofline)
        speed.host_flops = ms_run_host_flops(compute);
    if (status == MS_OK)
        *ret_speed = speed;
    return status;
}

static bool is_card(const void *card, const char *device) {
    return ms_card_is(card, device);
}

bool ms_run_speed_of_card(const ms_compute *compute, const char *path, const ms_card *card,
                          ms_history_key *key, ms_run_speed *ret_speed,
                          char ret_warning[MS_HISTORY_TEXT_BYTES]) {
    ms_run_speed speed = ms_run_speed_nominal();
    ms_history *history = open_history(path, ret_warning);
    ms_error trouble;
    ms_error_clear(&trouble);
    if (!history)
        return false;
    ms_status status =
        ms_history_find_calibration(history, is_card, card, &speed.rates, &speed.calibration, &trouble);
    key->calibration = speed.calibration;
    if (status == MS_OK && speed.calibration != 0)
        status = ms_history_get_ratios(history, key, speed.ratio, &speed.runs, &trouble);
    ms_history_close(&history);
    if (status != MS_OK)
        warn(ret_warning, &trouble);
    if (status != MS_OK || speed.calibration == 0)
        return false;
    speed.roofline = true;
    speed.host_flops = ms_run_host_flops(compute);
    *ret_speed = speed;
    return true;
}

void ms_run_layout_text(const ms_run_plan *plan, char ret_text[MS_HISTORY_TEXT_BYTES]) {
    const ms_engine_layout *l = &plan->layout;
    int at = snprintf(ret_text, MS_HISTORY_TEXT_BYTES, "VAE %" PRId64 " and %" PRId64 ", %s, ",
                      l->encode_batch, l->decode_batch, l->serial_branches ? "serial" : "both branches");
    if (l->slicing.frames)
        at += snprintf(ret_text + at, (size_t)(MS_HISTORY_TEXT_BYTES - at),
                       "%" PRId64 " frames or %" PRId64 " pixels, ", l->slicing.frames, l->slicing.pixels);
    snprintf(ret_text + at, (size_t)(MS_HISTORY_TEXT_BYTES - at), "%.0f %% of weights streamed",
             plan->engine.weight_bytes
                 ? 100.0 * (double)plan->engine.streamed_bytes / (double)plan->engine.weight_bytes
                 : 0.0);
}

void ms_run_history_record(const char *path, const ms_history_run *run,
                           char ret_warning[MS_HISTORY_TEXT_BYTES]) {
    ms_error err;
    ms_error_clear(&err);
    ms_history *history = open_history(path, ret_warning);
    if (history && ms_history_add(history, run, &err) != MS_OK)
        warn(ret_warning, &err);
    ms_history_close(&history);
}
