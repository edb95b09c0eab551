#include "media/write/sound_splice.h"

#include <string.h>

#include "base/error.h"

#define BLOCK_SAMPLES 4096
#define FALLBACK_RATE 48000

struct ms_sound_splice {
    ms_mem *mem;
    ms_picture_room room;
    ms_audio_reader *base, *over; /* base NULL: silence */
    int rate, channels;
    int64_t next;     /* sample */
    int64_t from, to; /* of the stretch */
    float *block;     /* as a reader gives them: [BLOCK_SAMPLES][its channels] */
    size_t block_floats;
};

static bool known_rate(int rate) {
    static const int rates[] = {8000,  11025, 12000, 16000, 22050, 24000,
                                32000, 44100, 48000, 64000, 88200, 96000};
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
        if (rate == rates[i])
            return true;
    return false;
}

static ms_status open_reader(const ms_sound_splice *s, const char *path, int rate,
                             ms_audio_reader **ret_reader, ms_error *err) {
    ms_audio_reader_params p = {.stream = -1, .source_format = true, .rate = rate, .room = s->room};
    return ms_audio_reader_open(s->mem, path, &p, ret_reader, err);
}

/* The file that the rate is taken from is opened anew when it has another one than it shall give. */
static ms_status open_at(ms_sound_splice *s, const char *path, ms_audio_reader **reader, ms_error *err) {
    if (*reader && ms_audio_reader_info(*reader)->rate == s->rate)
        return MS_OK;
    ms_audio_reader_close(reader);
    return open_reader(s, path, s->rate, reader, err);
}

static ms_status open_files(ms_sound_splice *s, const ms_sound_splice_params *p, ms_error *err) {
    ms_error none;
    ms_status status = p->base ? open_reader(s, p->base, 0, &s->base, &none) : MS_OK;
    if (status != MS_OK && status != MS_BAD_MEDIA) { /* a video without sound is none */
        if (err)
            *err = none;
        return status;
    }
    MS_TRY(open_reader(s, p->over, 0, &s->over, err));
    const ms_audio_info *like = ms_audio_reader_info(s->base ? s->base : s->over);
    s->rate = p->rate ? p->rate : known_rate(like->rate) ? like->rate : FALLBACK_RATE;
    s->channels = p->channels ? p->channels : like->channels;
    if (s->base)
        MS_TRY(open_at(s, p->base, &s->base, err));
    MS_TRY(open_at(s, p->over, &s->over, err));
    return MS_OK;
}

static int channels_of(const ms_audio_reader *r) {
    return r ? ms_audio_reader_info(r)->channels : 0;
}

ms_status ms_sound_splice_open(ms_mem *mem, const ms_sound_splice_params *p, ms_sound_splice **ret_splice,
                               ms_error *err) {
    ms_status status;
    ms_sound_splice *s = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*s));
    if (!s)
        return ms_fail_alloc(err, mem, sizeof(*s), "the sound");
    s->mem = mem;
    s->room = p->room;
    MS_GOTO(open_files(s, p, err));
    s->from = (int64_t)(p->from_s * s->rate + 0.5);
    s->to = s->from + (int64_t)(p->length_s * s->rate + 0.5);
    int most = channels_of(s->base) > channels_of(s->over) ? channels_of(s->base) : channels_of(s->over);
    s->block = ms_alloc_array(mem, MS_LEDGER_GENERAL, BLOCK_SAMPLES, (size_t)most * sizeof(float));
    if (!s->block) {
        status = ms_fail_alloc(err, mem, BLOCK_SAMPLES * sizeof(float), "the sound");
        goto fail;
    }
    MS_GOTO(ms_audio_reader_seek(s->over, p->over_skip_us * s->rate / 1000000, err));
    *ret_splice = s;
    return MS_OK;
fail:
    ms_sound_splice_close(&s);
    return status;
}

void ms_sound_splice_close(ms_sound_splice **splice) {
    if (!splice || !*splice)
        return;
    ms_audio_reader_close(&(*splice)->base);
    ms_audio_reader_close(&(*splice)->over);
    ms_mem_free((*splice)->block);
    ms_mem_free(*splice);
    *splice = NULL;
}

int ms_sound_splice_rate(const ms_sound_splice *s) {
    return s->rate;
}

int ms_sound_splice_channels(const ms_sound_splice *s) {
    return s->channels;
}

/* As many channels go through as they are; one goes to all, several that do not fit become their mean. */
static void convert(const ms_sound_splice *s, const float *in, int channels, int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++) {
        float sum = 0;
        for (int c = 0; c < channels; c++)
            sum += in[i * channels + c];
        for (int c = 0; c < s->channels; c++)
            out[i * s->channels + c] = channels == s->channels ? in[i * channels + c] : sum / (float)channels;
    }
}

static ms_status read_from(ms_sound_splice *s, ms_audio_reader *reader, float *dst, int64_t count,
                           ms_error *err) {
    int64_t got = 0;
    if (reader)
        MS_TRY(ms_audio_reader_read(reader, s->block, count, &got, err));
    convert(s, s->block, channels_of(reader), got, dst);
    memset(dst + got * s->channels, 0, (size_t)((count - got) * s->channels) * sizeof(float));
    return MS_OK;
}

ms_status ms_sound_splice_read(void *splice, float *dst, int64_t max, int64_t *ret_count, ms_error *err) {
    ms_sound_splice *s = splice;
    int64_t done = 0;
    while (done < max) {
        bool over = s->next >= s->from && s->next < s->to;
        int64_t border = over ? s->to : s->next < s->from ? s->from : INT64_MAX, n = max - done;
        n = n < BLOCK_SAMPLES ? n : BLOCK_SAMPLES;
        n = n < border - s->next ? n : border - s->next;
        if (!over && s->base && ms_audio_reader_tell(s->base) < s->next) /* what the stretch lay over */
            MS_TRY(ms_audio_reader_seek(s->base, s->next, err));
        MS_TRY(read_from(s, over ? s->over : s->base, dst + done * s->channels, n, err));
        s->next += n;
        done += n;
    }
    *ret_count = max;
    return MS_OK;
}
