#include "habits.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define ENCODERS                                                                                             \
    { "libx264", "h264", "libx265", "hevc" }
#define ENCODED_ANEW "the frames are redrawn, so the video is always encoded anew: -c h264, hevc or ffv1"
#define SOUND_STAYS                                                                                          \
    "sound is copied where the container can hold it, and encoded anew where it cannot; --audio-out speech " \
    "or none gives other sound"
#define BY_QUALITY                                                                                           \
    "memsafe encodes by quality, --crf N (0 to 51, smaller is better); -b and --budget are memory, as in "   \
    "-b 2G"
#define NO_FILTERS "there are no filters in memsafe; filter the input or the output with ffmpeg"
#define KEY_FRAMES                                                                                           \
    "memsafe puts key frames itself, one at least each --segment N frames; the guidance scale is --guidance"
#define PICTURE "the output has the input's size and is 4:2:0 for players; --codec ffv1 keeps exact RGB"

static const cli_habit habits[] = {
    {"c", CLI_HABIT_SAME, "codec", ENCODED_ANEW, ENCODERS},
    {"codec", CLI_HABIT_SAME, "codec", ENCODED_ANEW, ENCODERS},
    {"c:v", CLI_HABIT_SAME, "codec", ENCODED_ANEW, ENCODERS},
    {"codec:v", CLI_HABIT_SAME, "codec", ENCODED_ANEW, ENCODERS},
    {"vcodec", CLI_HABIT_SAME, "codec", ENCODED_ANEW, ENCODERS},
    {"c:a", CLI_HABIT_SAME, "audio-out", SOUND_STAYS, {"copy", ""}},
    {"codec:a", CLI_HABIT_SAME, "audio-out", SOUND_STAYS, {"copy", ""}},
    {"acodec", CLI_HABIT_SAME, "audio-out", SOUND_STAYS, {"copy", ""}},
    {"an", CLI_HABIT_GIVES, "audio-out", NULL, {"none"}},
    {"n", CLI_HABIT_CLEAR, "force", NULL, {NULL}},
    {"crf:v", CLI_HABIT_SAME, "crf", NULL, {NULL}},
    {"r:v", CLI_HABIT_SAME, "fps", NULL, {NULL}},
    {"frames:v", CLI_HABIT_SAME, "frames", NULL, {NULL}},
    {"vframes", CLI_HABIT_SAME, "frames", NULL, {NULL}},
    {"v", CLI_HABIT_LEVEL, "verbose", NULL, {NULL}},
    {"loglevel", CLI_HABIT_LEVEL, "verbose", NULL, {NULL}},
    {"stats", CLI_HABIT_GIVES, "progress", NULL, {"auto"}},
    {"nostats", CLI_HABIT_GIVES, "progress", NULL, {"none"}},
    {"i",
     CLI_HABIT_ERROR,
     "looping",
     "plan reads no video: --size WxH and --frames N say what it is like",
     {NULL}},
    {"hide_banner", CLI_HABIT_ERROR, "quiet", "memsafe has no banner; -q says nothing but errors", {NULL}},
    {"nostdin", CLI_HABIT_ERROR, "quiet", "memsafe reads no keys; leave it out", {NULL}},
    {"b:v", CLI_HABIT_ERROR, "crf", BY_QUALITY, {NULL}},
    {"vb", CLI_HABIT_ERROR, "crf", BY_QUALITY, {NULL}},
    {"maxrate", CLI_HABIT_ERROR, "crf", BY_QUALITY, {NULL}},
    {"minrate", CLI_HABIT_ERROR, "crf", BY_QUALITY, {NULL}},
    {"bufsize", CLI_HABIT_ERROR, "crf", BY_QUALITY, {NULL}},
    {"q:v", CLI_HABIT_ERROR, "crf", BY_QUALITY, {NULL}},
    {"qscale:v", CLI_HABIT_ERROR, "crf", BY_QUALITY, {NULL}},
    {"qp", CLI_HABIT_ERROR, "crf", BY_QUALITY, {NULL}},
    {"preset",
     CLI_HABIT_ERROR,
     "crf",
     "the encoder's preset is not to be chosen; quality is --crf N",
     {NULL}},
    {"tune", CLI_HABIT_ERROR, "crf", "the encoder's tuning is not to be chosen; quality is --crf N", {NULL}},
    {"profile:v",
     CLI_HABIT_ERROR,
     "crf",
     "the encoder's profile follows the picture; --profile is memory's",
     {NULL}},
    {"g", CLI_HABIT_ERROR, "segment", KEY_FRAMES, {NULL}},
    {"b:a", CLI_HABIT_ERROR, "audio-out", SOUND_STAYS, {NULL}},
    {"ab", CLI_HABIT_ERROR, "audio-out", SOUND_STAYS, {NULL}},
    {"ar", CLI_HABIT_ERROR, "audio-out", SOUND_STAYS, {NULL}},
    {"ac", CLI_HABIT_ERROR, "audio-out", SOUND_STAYS, {NULL}},
    {"q:a", CLI_HABIT_ERROR, "audio-out", SOUND_STAYS, {NULL}},
    {"vn", CLI_HABIT_ERROR, "codec", "an output without video is not memsafe's to make", {NULL}},
    {"sn", CLI_HABIT_ERROR, "codec", "subtitles are never in the output; leave it out", {NULL}},
    {"map",
     CLI_HABIT_ERROR,
     "audio",
     "-i names the video, -a (or a second -i) the speech; the output has these two",
     {NULL}},
    {"shortest",
     CLI_HABIT_ERROR,
     "loop",
     "the output is as long as the speech; --loop none ends it with the video",
     {NULL}},
    {"stream_loop",
     CLI_HABIT_ERROR,
     "loop",
     "a video that is too short is repeated: --loop says how",
     {NULL}},
    {"f",
     CLI_HABIT_ERROR,
     "force",
     "the output's extension names the format; an output that is there already is replaced with -y",
     {NULL}},
    {"vf", CLI_HABIT_ERROR, "codec", NO_FILTERS, {NULL}},
    {"af", CLI_HABIT_ERROR, "codec", NO_FILTERS, {NULL}},
    {"filter:v", CLI_HABIT_ERROR, "codec", NO_FILTERS, {NULL}},
    {"filter:a", CLI_HABIT_ERROR, "codec", NO_FILTERS, {NULL}},
    {"filter_complex", CLI_HABIT_ERROR, "codec", NO_FILTERS, {NULL}},
    {"s", CLI_HABIT_ERROR, "codec", PICTURE, {NULL}},
    {"pix_fmt", CLI_HABIT_ERROR, "codec", PICTURE, {NULL}},
    {"movflags", CLI_HABIT_ERROR, "codec", "not to be chosen; leave it out", {NULL}},
    {"map_metadata",
     CLI_HABIT_ERROR,
     "no-metadata",
     "titles and chapters are kept; --no-metadata drops them",
     {NULL}},
    {"sseof", CLI_HABIT_ERROR, "start", "times count from the beginning: -ss TIME", {NULL}},
    {"itsoffset",
     CLI_HABIT_ERROR,
     "audio-start",
     "the speech cannot be delayed (--audio-start TIME leaves its beginning out): put silence before it with "
     "ffmpeg",
     {NULL}},
};

const cli_habit *cli_habit_at(int index) {
    return index < CLI_COUNT(habits) ? &habits[index] : NULL;
}

static const cli_habit *habit_named(const char *name, size_t length) {
    for (int i = 0; i < CLI_COUNT(habits); i++)
        if (strlen(habits[i].theirs) == length && strncmp(habits[i].theirs, name, length) == 0)
            return &habits[i];
    return NULL;
}

const cli_habit *cli_find_habit(const cli_command *c, const char *name, size_t length) {
    const cli_habit *h = habit_named(name, length);
    return h && cli_find_option(c, h->ours, strlen(h->ours)) ? h : NULL;
}

bool cli_is_habit(const char *name, size_t length) {
    return habit_named(name, length) != NULL;
}

const char *cli_habit_word(const cli_habit *h, const char *theirs) {
    for (int i = 0; i + 1 < CLI_COUNT(h->words) && h->words[i]; i += 2)
        if (strcmp(h->words[i], theirs) == 0)
            return h->words[i + 1];
    return theirs;
}

bool cli_habit_level(const char *word, int *ret_level) {
    static const struct {
        const char *name;
        int number, level;
    } levels[] = {{"quiet", -8, -1},  {"panic", 0, -1},   {"fatal", 8, -1},
                  {"error", 16, -1},  {"warning", 24, 0}, {"info", 32, 0},
                  {"verbose", 40, 1}, {"debug", 48, 1},   {"trace", 56, 1}};
    char *end;
    long number = strtol(word, &end, 10);
    bool numeric = *word && !*end;
    for (int i = 0; i < CLI_COUNT(levels); i++) {
        if (numeric ? number != levels[i].number : strcmp(word, levels[i].name) != 0)
            continue;
        *ret_level = levels[i].level;
        return true;
    }
    return false;
}

ms_status cli_habit_places(int argc, char **argv, ms_error *err) {
    const char *between = NULL;
    bool one = false;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "-i") == 0 && one && between)
            return ms_fail(err, MS_INVALID_ARGUMENT,
                           "%s before the second -i: of the speech, --audio-start TIME leaves the beginning "
                           "out; of the video, put it "
                           "before the first -i",
                           between);
        if (strcmp(argv[i], "-i") == 0)
            one = true;
        else if (one &&
                 (strcmp(argv[i], "-ss") == 0 || strcmp(argv[i], "-t") == 0 || strcmp(argv[i], "-to") == 0))
            between = argv[i];
    }
    return MS_OK;
}
