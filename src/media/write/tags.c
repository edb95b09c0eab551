#include "media/write/tags.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Files of strangers are bounded in all that they say: it goes into memory and into the output's header. */
#define MAX_TAGS 64
#define MAX_VALUE_BYTES 4096
#define MAX_CHAPTERS 1000

/* Facts of the file that the tags came from: they would be wrong of the new one. */
static bool of_the_old_file(const char *key) {
    static const char *const keys[] = {"encoder",       "encoded_by",        "creation_time",   "major_brand",
                                       "minor_version", "compatible_brands", "handler_name",    "vendor_id",
                                       "duration",      "number_of_frames",  "number_of_bytes", "bps",
                                       "alpha_mode",    "stereo_mode",       "timecode",        "rotate"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (strcasecmp(key, keys[i]) == 0)
            return true;
    return strncasecmp(key, "_statistics", 11) == 0;
}

static int copy_tags(AVDictionary **out, const AVDictionary *in) {
    const AVDictionaryEntry *e = NULL;
    int n = 0, rc = 0;
    while (rc >= 0 && n < MAX_TAGS && (e = av_dict_get(in, "", e, AV_DICT_IGNORE_SUFFIX)) != NULL) {
        if (of_the_old_file(e->key) || !e->value[0] || strlen(e->value) > MAX_VALUE_BYTES)
            continue;
        rc = av_dict_set(out, e->key, e->value, 0);
        n++;
    }
    return rc;
}

/* A stream's language and title; its other tags describe the old file's bytes. */
static int copy_stream_tags(AVStream *out, const AVDictionary *in) {
    static const char *const keys[] = {"language", "title"};
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < sizeof(keys) / sizeof(keys[0]); i++) {
        const AVDictionaryEntry *e = av_dict_get(in, keys[i], NULL, 0);
        if (e && strlen(e->value) <= MAX_VALUE_BYTES)
            rc = av_dict_set(&out->metadata, keys[i], e->value, 0);
    }
    return rc;
}

/* The file's own comment, without the lines that runs of before put there, and ours as the last line. */
static int put_comment(AVFormatContext *out, const char *comment) {
    char text[MAX_VALUE_BYTES + 512];
    size_t n = 0;
    const AVDictionaryEntry *e = av_dict_get(out->metadata, "comment", NULL, 0);
    for (const char *line = e ? e->value : ""; *line;) {
        size_t length = strcspn(line, "\n");
        bool ours = strncmp(line, MS_TAGS_COMMENT_BEGINS, strlen(MS_TAGS_COMMENT_BEGINS)) == 0;
        if (!ours && n + length + 1 <= MAX_VALUE_BYTES) {
            memcpy(text + n, line, length);
            n += length;
            text[n++] = '\n';
        }
        line += length + (line[length] == '\n');
    }
    snprintf(text + n, sizeof(text) - n, "%s", comment);
    return av_dict_set(&out->metadata, "comment", text, 0);
}

/* ---- chapters */

static int add_chapter(AVFormatContext *out, const AVChapter *in, int64_t start, int64_t end) {
    AVChapter *chapter = av_mallocz(sizeof(*chapter));
    if (!chapter)
        return AVERROR(ENOMEM);
    chapter->id = in->id;
    chapter->time_base = AV_TIME_BASE_Q;
    chapter->start = start;
    chapter->end = end;
    out->chapters[out->nb_chapters++] = chapter;
    const AVDictionaryEntry *e = av_dict_get(in->metadata, "title", NULL, 0);
    return e && strlen(e->value) <= MAX_VALUE_BYTES ? av_dict_set(&chapter->metadata, "title", e->value, 0)
                                                    : 0;
}

/* Microseconds of the output; a stranger's number may be anything, so it is bounded
   before it is an integer. */
static int64_t output_us(int64_t ts, AVRational time_base, double zero_us) {
    double us = time_base.den > 0 ? (double)ts * av_q2d(time_base) * AV_TIME_BASE - zero_us : 0;
    return us < 0 ? 0 : us > 1e15 ? (int64_t)1e15 : (int64_t)(us + 0.5);
}

/* Times count from the file's start, as those of the frames do; what lies beyond the output's end is cut. */
static int copy_chapters(AVFormatContext *out, const AVFormatContext *in, double from_s, double seconds) {
    double zero = (in->start_time == AV_NOPTS_VALUE ? 0 : (double)in->start_time) + from_s * AV_TIME_BASE;
    int64_t last = seconds > 0 && seconds < 1e9 ? (int64_t)(seconds * AV_TIME_BASE) : INT64_MAX;
    int rc = 0;
    if (in->nb_chapters == 0)
        return 0;
    size_t room = in->nb_chapters < MAX_CHAPTERS ? in->nb_chapters : MAX_CHAPTERS;
    out->chapters = av_calloc(room, sizeof(*out->chapters));
    if (!out->chapters)
        return AVERROR(ENOMEM);
    for (unsigned i = 0; rc >= 0 && i < in->nb_chapters && out->nb_chapters < room; i++) {
        const AVChapter *c = in->chapters[i];
        int64_t start = output_us(c->start, c->time_base, zero);
        int64_t end = c->end == AV_NOPTS_VALUE ? last : output_us(c->end, c->time_base, zero);
        end = end > last ? last : end;
        if (start < end && end != INT64_MAX)
            rc = add_chapter(out, c, start, end);
    }
    return rc;
}

/* ---- */

static int put_file_tags(const ms_tags *tags, AVFormatContext *out, int video) {
    const AVFormatContext *in = tags->source;
    int rc = copy_tags(&out->metadata, in->metadata);
    if (rc >= 0 && tags->source_video >= 0 && tags->source_video < (int)in->nb_streams)
        rc = copy_stream_tags(out->streams[video], in->streams[tags->source_video]->metadata);
    return rc < 0 ? rc : copy_chapters(out, in, tags->from_s, tags->seconds);
}

ms_status ms_tags_put(const ms_tags *tags, AVFormatContext *out, int video, int audio, ms_error *err) {
    int rc = tags->source ? put_file_tags(tags, out, video) : 0;
    if (rc >= 0 && audio >= 0 && tags->sound_language && tags->sound_language[0])
        rc = av_dict_set(&out->streams[audio]->metadata, "language", tags->sound_language, 0);
    if (rc >= 0 && tags->comment)
        rc = put_comment(out, tags->comment);
    return rc < 0 ? ms_fail(err, MS_HOST_MEMORY, "out of memory for the output's titles and chapters")
                  : MS_OK;
}
