#include "console/hints.h"

#include <stdio.h>
#include <string.h>

const char *cli_hint_words(ms_hint hint) {
    static const char *const words[MS_HINT_COUNT] = {
        [MS_HINT_NONE] = "",
        [MS_HINT_ALLOW_TRUNCATED] = "--allow-truncated takes what is there",
        [MS_HINT_RESUME] = "--resume goes on from there",
        [MS_HINT_BEGIN_ANEW] = "-y begins anew",
        [MS_HINT_REPLACE] = "-y replaces it",
        [MS_HINT_MODEL] = "--model DIR names one",
        [MS_HINT_TRACK] = "a track file of the faces (--track) does without",
        [MS_HINT_SPEECH] = "--audio names the speech that it should say",
        [MS_HINT_FACE] = "--face counts from 0",
        [MS_HINT_HDR] = "--codec hevc keeps it, --tonemap makes an ordinary picture of it",
        [MS_HINT_TONEMAP] = "--tonemap",
        [MS_HINT_RESOLUTION] = "--resolution names one that stays",
        [MS_HINT_LATENT_RANK] = "--latent-rank 90 is one",
        [MS_HINT_DEVICE_BYTES] = "what is not here needs --device-memory 80G, a card --arch sm_86, too",
        [MS_HINT_FRAME_RATE] = "--fps source keeps them",
        [MS_HINT_LOOP] = "--loop says how",
        [MS_HINT_LOOP_NONE] = "--loop none",
        [MS_HINT_REST_KEEP] = "--rest keep",
        [MS_HINT_DEVICE_AUTO] = "--device auto takes what there is",
        [MS_HINT_FETCH] = "memsafe-fetch-models gets the official ones, --demo needs none",
        [MS_HINT_SYNTHETIC] = "models --synthesize made it",
    };
    return words[hint];
}

const char *cli_error_text(const ms_error *err, char ret_text[CLI_ERROR_BYTES]) {
    snprintf(ret_text, CLI_ERROR_BYTES, "%s", err->message[0] ? err->message : ms_status_text(err->code));
    for (int h = MS_HINT_NONE + 1; h < MS_HINT_COUNT; h++) {
        size_t n = strlen(ret_text);
        if (err->hints & MS_HINT_BIT(h))
            snprintf(ret_text + n, CLI_ERROR_BYTES - n, "; %s", cli_hint_words((ms_hint)h));
    }
    return ret_text;
}

const char *cli_note_text(const ms_run_note *note, char ret_text[CLI_NOTE_BYTES]) {
    const char *words = cli_hint_words(note->hint);
    snprintf(ret_text, CLI_NOTE_BYTES, words[0] ? "%s (%s)" : "%s%s", note->text, words);
    return ret_text;
}
