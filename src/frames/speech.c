#include "frames/speech.h"

#include "base/error.h"
#include "memsafe_have.h"

#if MS_HAVE_FFMPEG

#include "media/read/audio_reader.h"

#define BLOCK_SAMPLES 65536
/* Encoders round up to whole packets and trim them again: some tenths of a second are nobody's loss. */
#define MISSING_S 0.5

struct ms_speech {
    ms_mem *mem;
    ms_audio_reader *reader;
    ms_mel_stats stats;
    int64_t skip; /* the file's sample that is the first here */
};

static ms_status poll_cancelled(const ms_speech_params *p, ms_error *err) {
    bool yes = p->cancelled && p->cancelled(p->arg);
    return yes ? ms_fail(err, MS_CANCELLED, "cancelled while its sound was read") : MS_OK;
}

/* By reading, so that a file that ends before is told. */
static ms_status skip_samples(ms_speech *s, const ms_speech_params *p, float *block, ms_error *err) {
    int64_t left = s->skip, got = 1;
    while (left > 0 && got > 0) {
        MS_TRY(poll_cancelled(p, err));
        MS_TRY(
            ms_audio_reader_read(s->reader, block, left < BLOCK_SAMPLES ? left : BLOCK_SAMPLES, &got, err));
        left -= got;
    }
    if (left == 0)
        return MS_OK;
    return ms_fail(err, MS_INVALID_ARGUMENT,
                   "the speech ends after %.3f s, before it begins (audio-start: %.3f s)",
                   (double)(s->skip - left) / MS_SPEECH_RATE, (double)s->skip / MS_SPEECH_RATE);
}

static ms_status scan(ms_speech *s, const ms_speech_params *p, ms_error *err) {
    ms_log_mel *mel = NULL;
    ms_mel_scan *scan = NULL;
    float *block = ms_alloc_array(s->mem, MS_LEDGER_STAGING, BLOCK_SAMPLES, sizeof(float));
    int64_t got = BLOCK_SAMPLES;
    ms_status status;
    if (!block)
        return ms_fail_alloc(err, s->mem, BLOCK_SAMPLES * sizeof(float), "reading audio");
    MS_GOTO(ms_log_mel_create(s->mem, NULL, &mel, err));
    MS_GOTO(ms_mel_scan_create(s->mem, mel, &scan, err));
    if (s->skip)
        MS_GOTO(skip_samples(s, p, block, err));
    while (got == BLOCK_SAMPLES) {
        MS_GOTO(poll_cancelled(p, err));
        MS_GOTO(ms_audio_reader_read(s->reader, block, BLOCK_SAMPLES, &got, err));
        ms_mel_scan_push(scan, block, got);
    }
    MS_GOTO(ms_mel_scan_finish(scan, &s->stats, err));
fail:
    ms_mel_scan_destroy(&scan);
    ms_log_mel_destroy(&mel);
    ms_mem_free(block);
    return status;
}

ms_status ms_speech_open(const ms_speech_params *p, ms_speech **ret_speech, ms_error *err) {
    ms_audio_reader_params params = MS_AUDIO_READER_DEFAULTS;
    ms_mem *mem = p->mem;
    params.room = p->room;
    ms_speech *s = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*s));
    if (!s)
        return ms_fail_alloc(err, mem, sizeof(*s), "reading audio");
    s->mem = mem;
    s->skip = p->skip;
    ms_status status = ms_audio_reader_open(mem, p->path, &params, &s->reader, err);
    if (status == MS_OK) {
        status = scan(s, p, err);
        if (status != MS_OK)
            ms_fail_prefix(err, status, "%s", p->path);
    }
    if (status != MS_OK) {
        ms_speech_close(&s);
        return status;
    }
    *ret_speech = s;
    return MS_OK;
}

ms_status ms_speech_check_whole(const ms_speech *s, const char *path, ms_error *err) {
    const ms_audio_info *info = ms_audio_reader_info(s->reader);
    double seconds = (double)(s->skip + s->stats.samples) / MS_SPEECH_RATE;
    if (!info->exact || info->duration_s - seconds < MISSING_S)
        return MS_OK;
    return ms_fail_hint(err, MS_BAD_MEDIA, MS_HINT_ALLOW_TRUNCATED,
                        "%s is cut off: it should have %.1f s of sound and has %.1f", path, info->duration_s,
                        seconds);
}

void ms_speech_close(ms_speech **speech) {
    if (!speech || !*speech)
        return;
    ms_audio_reader_close(&(*speech)->reader);
    ms_mem_free(*speech);
    *speech = NULL;
}

const char *ms_speech_codec(const ms_speech *speech) {
    return ms_audio_reader_info(speech->reader)->codec;
}

const char *ms_speech_language(const ms_speech *speech) {
    return ms_audio_reader_info(speech->reader)->language;
}

ms_mel_stats ms_speech_stats(const ms_speech *speech) {
    return speech->stats;
}

static ms_status read_samples(void *arg, int64_t first, int64_t count, float *ret_samples, ms_error *err) {
    ms_speech *s = arg;
    int64_t got = 0;
    first += s->skip;
    if (ms_audio_reader_tell(s->reader) != first)
        MS_TRY(ms_audio_reader_seek(s->reader, first, err));
    MS_TRY(ms_audio_reader_read(s->reader, ret_samples, count, &got, err));
    if (got != count) /* it had them when it was scanned */
        return ms_fail(err, MS_IO, "the audio file became shorter: sample %lld is gone",
                       (long long)(first + got));
    return MS_OK;
}

ms_sample_source ms_speech_source(ms_speech *speech) {
    return (ms_sample_source){.samples = speech->stats.samples, .read = read_samples, .arg = speech};
}

#else

ms_status ms_speech_open(const ms_speech_params *p, ms_speech **ret_speech, ms_error *err) {
    (void)ret_speech;
    return ms_fail(err, MS_UNSUPPORTED,
                   "%s: this build cannot read audio: it was made without FFmpeg's libraries", p->path);
}

ms_status ms_speech_check_whole(const ms_speech *speech, const char *path, ms_error *err) {
    (void)speech, (void)path, (void)err;
    return MS_OK;
}

void ms_speech_close(ms_speech **speech) {
    (void)speech;
}

const char *ms_speech_codec(const ms_speech *speech) {
    (void)speech;
    return "";
}

const char *ms_speech_language(const ms_speech *speech) {
    (void)speech;
    return "";
}

ms_mel_stats ms_speech_stats(const ms_speech *speech) {
    (void)speech;
    return (ms_mel_stats){0};
}

ms_sample_source ms_speech_source(ms_speech *speech) {
    (void)speech;
    return (ms_sample_source){0};
}

#endif
