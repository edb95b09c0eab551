#include "options/habits.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define ENCODERS                                                                                             \
    { "libx264", "h264", "libx265", "hevc" }
#define REDRAWN "the frames are redrawn, so the video is always encoded anew: -c h264, hevc or ffv1"
#define OUR_CODECS                                                                                           \
    "memsafe writes h264, hevc and ffv1 (lossless); other codecs can be made from these with ffmpeg"
#define SOUND_STAYS                                                                                          \
    "sound is copied where the container can hold it, and encoded anew where it cannot; --audio-out speech " \
    "or none gives other sound"
#define BY_QUALITY                                                                                           \
    "memsafe encodes by quality, --crf N (0 to 51, smaller is better); -b and --budget are memory, as in "   \
    "-b 2G"
#define NO_FILTERS "there are no filters in memsafe; filter the input or the output with ffmpeg"
#define KEY_FRAMES                                                                                           \
    "memsafe puts key frames itself, one at least each --segment N frames; the guidance scale is --guidance"
#define LEAVE_OUT "it is not needed; leave it out"
#define ONE_RATE "the output has one rate throughout: --fps RATE (default 25), or --fps source"
#define ON_CPU "videos are decoded on the CPU; leave it out"
#define ENCODER_SET "the encoder's settings are not to be chosen; quality is --crf N"
#define OWN_COLOURS "the output's colours are the input's; leave it out"
#define CHANNELS                                                                                             \
    "the sound's channels and volume stay as they are; --audio-out speech or none gives other sound"
#define PICTURE "the output has the input's size and is 4:2:0 for players; --codec ffv1 keeps exact RGB"

#define REFUSED(theirs, ours, says)                                                                          \
    { theirs, CLI_HABIT_ERROR, ours, says, {NULL}, NULL, NULL }
#define TAKEN(theirs, ours)                                                                                  \
    { theirs, CLI_HABIT_SAME, ours, NULL, {NULL}, NULL, NULL }
#define GIVES(theirs, ours, word)                                                                            \
    { theirs, CLI_HABIT_GIVES, ours, NULL, {word}, NULL, NULL }
#define OF_CODEC(theirs)                                                                                     \
    { theirs, CLI_HABIT_SAME, "codec", OUR_CODECS, ENCODERS, "copy", REDRAWN }
#define OF_SOUND(theirs)                                                                                     \
    {                                                                                                        \
        theirs, CLI_HABIT_SAME, "sound-codec", NULL, {"copy", "", "libfdk_aac", "aac", "libopus", "opus"},   \
            NULL, NULL                                                                                       \
    }

static const cli_habit habits[] = {
    OF_CODEC("c"),
    OF_CODEC("codec"),
    OF_CODEC("c:v"),
    OF_CODEC("codec:v"),
    OF_CODEC("vcodec"),
    OF_SOUND("c:a"),
    OF_SOUND("codec:a"),
    OF_SOUND("acodec"),
    GIVES("an", "audio-out", "none"),
    {"n", CLI_HABIT_CLEAR, "force", NULL, {NULL}, NULL, NULL},
    TAKEN("-backend", "device"),
    TAKEN("crf:v", "crf"),
    TAKEN("r:v", "fps"),
    TAKEN("framerate", "fps"),
    TAKEN("frames:v", "frames"),
    TAKEN("vframes", "frames"),
    {"v", CLI_HABIT_LEVEL, "verbose", NULL, {NULL}, NULL, NULL},
    {"loglevel", CLI_HABIT_LEVEL, "verbose", NULL, {NULL}, NULL, NULL},
    GIVES("stats", "progress", "auto"),
    GIVES("nostats", "progress", "none"),
    REFUSED("i", "looping", "plan reads no video: --size WxH and --frames N say what it is like"),
    {"hide_banner", CLI_HABIT_ANYWAY, "quiet", NULL, {NULL}, NULL, NULL},
    {"nostdin", CLI_HABIT_ANYWAY, "quiet", NULL, {NULL}, NULL, NULL},
    REFUSED("b:v", "crf", BY_QUALITY),
    REFUSED("vb", "crf", BY_QUALITY),
    REFUSED("maxrate", "crf", BY_QUALITY),
    REFUSED("minrate", "crf", BY_QUALITY),
    REFUSED("bufsize", "crf", BY_QUALITY),
    REFUSED("q:v", "crf", BY_QUALITY),
    REFUSED("qscale:v", "crf", BY_QUALITY),
    REFUSED("qp", "crf", BY_QUALITY),
    REFUSED("preset", "crf", "the encoder's preset is not to be chosen; quality is --crf N"),
    REFUSED("tune", "crf", "the encoder's tuning is not to be chosen; quality is --crf N"),
    REFUSED("profile:v", "crf", "the encoder's profile follows the picture; --profile is memory's"),
    REFUSED("g", "segment", KEY_FRAMES),
    REFUSED("b:a", "audio-out", SOUND_STAYS),
    REFUSED("ab", "audio-out", SOUND_STAYS),
    REFUSED("ar", "audio-out", SOUND_STAYS),
    REFUSED("ac", "audio-out", SOUND_STAYS),
    REFUSED("q:a", "audio-out", SOUND_STAYS),
    REFUSED("vn", "codec", "an output without video is not memsafe's to make"),
    REFUSED("sn", "codec", "subtitles are never in the output; leave it out"),
    REFUSED("map", "audio", "-i names the video, -a (or a second -i) the speech; the output has these two"),
    REFUSED("shortest", "loop", "the output is as long as the speech; --loop none ends it with the video"),
    REFUSED("stream_loop", "loop", "a video that is too short is repeated: --loop says how"),
    {"f",
     CLI_HABIT_SAME,
     "format",
     "the output's extension names the format: mp4, mov, matroska (.mkv) or avi",
     {NULL},
     "null",
     "a run without an output is not made: --preview shows one window, `memsafe plan` says how long a run "
     "takes"},
    REFUSED("vf", "codec", NO_FILTERS),
    REFUSED("af", "codec", NO_FILTERS),
    REFUSED("filter:v", "codec", NO_FILTERS),
    REFUSED("filter:a", "codec", NO_FILTERS),
    REFUSED("filter_complex", "codec", NO_FILTERS),
    REFUSED("s", "codec", PICTURE),
    TAKEN("pix_fmt", "pixel-format"),
    TAKEN("pix_fmt:v", "pixel-format"),
    REFUSED("movflags", "codec", "not to be chosen; leave it out"),
    REFUSED("level", "crf", ENCODER_SET),
    REFUSED("level:v", "crf", ENCODER_SET),
    REFUSED("bf", "crf", ENCODER_SET),
    REFUSED("qmin", "crf", ENCODER_SET),
    REFUSED("qmax", "crf", ENCODER_SET),
    REFUSED("x264-params", "crf", ENCODER_SET),
    REFUSED("x264opts", "crf", ENCODER_SET),
    REFUSED("x265-params", "crf", ENCODER_SET),
    REFUSED("vsync", "fps", ONE_RATE),
    REFUSED("fps_mode", "fps", ONE_RATE),
    REFUSED("hwaccel", "video", ON_CPU),
    REFUSED("hwaccel_device", "video", ON_CPU),
    REFUSED("hwaccel_output_format", "video", ON_CPU),
    REFUSED("init_hw_device", "video", ON_CPU),
    REFUSED("vaapi_device", "video", ON_CPU),
    REFUSED("strict", "codec", LEAVE_OUT),
    REFUSED("tag:v", "codec", LEAVE_OUT),
    REFUSED("vtag", "codec", LEAVE_OUT),
    REFUSED("bsf:v", "codec", LEAVE_OUT),
    REFUSED("max_muxing_queue_size", "codec", LEAVE_OUT),
    REFUSED("fflags", "video", LEAVE_OUT),
    REFUSED("analyzeduration", "video", LEAVE_OUT),
    REFUSED("probesize", "video", LEAVE_OUT),
    REFUSED("thread_queue_size", "video", LEAVE_OUT),
    REFUSED("color_range", "codec", OWN_COLOURS),
    REFUSED("color_primaries", "codec", OWN_COLOURS),
    REFUSED("color_trc", "codec", OWN_COLOURS),
    REFUSED("colorspace", "codec", OWN_COLOURS),
    REFUSED("vol", "audio-out", CHANNELS),
    REFUSED("channel_layout", "audio-out", CHANNELS),
    REFUSED("ch_layout", "audio-out", CHANNELS),
    REFUSED("lavfi", "codec", NO_FILTERS),
    REFUSED("aspect", "codec", PICTURE),
    REFUSED("dn", "codec", "data tracks are never in the output; leave it out"),
    REFUSED("noautorotate", "video", "a video is read as players show it, turned by quarter turns"),
    REFUSED(
        "fs", "crf",
        "a file's size is not to be limited; --crf N (larger is smaller), -t or --frames make it smaller"),
    REFUSED("metadata", "no-metadata",
            "the video's titles are kept; others are given afterwards: ffmpeg -i OUT -c copy -metadata "
            "title=..."),
    REFUSED("start_number", "video", "numbered pictures begin with the lowest number that is there"),
    REFUSED("pattern_type", "video", "pictures are named by number, as in frame_%04d.png"),
    REFUSED("map_metadata", "no-metadata", "titles and chapters are kept; --no-metadata drops them"),
    REFUSED("sseof", "start", "times count from the beginning: -ss TIME"),
    REFUSED("itsoffset", "audio-start",
            "the speech cannot be delayed (--audio-start TIME leaves its beginning out): put silence before "
            "it with ffmpeg"),
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

const char *cli_habit_says(const cli_habit *h, const char *theirs) {
    return h->value && theirs && strcmp(h->value, theirs) == 0 ? h->of_value : h->says;
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
