#include "submit/record.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "files/new_file.h"
#include "submit/log_folder.h"

#define MOST_BYTES 4096

ms_status cli_record_hash(const cli_job *j, const cli_command *command, const cli_step_place *place,
                          uint64_t *ret_hash, ms_error *err) {
    static const uint64_t key[2] = {0x736c75726d206a6fu, 0x62206f7264657221u};
    ms_buf b;
    ms_buf_init(&b, NULL);
    /* Of all steps it is the one that says nothing of --resume and -y, which may come and go. */
    ms_status status = cli_step_script(CLI_STEP_PARTS, command, j->asked, place, &b, err);
    ms_buf_printf(&b, "%d clips", j->clips);
    if (status == MS_OK && b.failed)
        status = ms_fail(err, MS_HOST_MEMORY, "out of memory for what is asked for");
    if (status == MS_OK)
        *ret_hash = ms_siphash(key, b.data, b.length);
    ms_buf_free(&b);
    return status;
}

ms_status cli_record_keep(const cli_job *j, uint64_t hash, ms_error *err) {
    char path[PATH_MAX];
    ms_buf b;
    if (!cli_log_folder_file(j->folder, CLI_RECORD_NAME, path))
        return ms_fail(err, MS_IO, "the output's name is too long");
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b, "{\"asked\": \"%016" PRIx64 "\", \"tasks\": %d, \"cluster\": \"%s\"", hash, j->n_tasks,
                  j->cluster);
    for (int i = 0; i < CLI_STEP_COUNT; i++)
        if (j->id[i][0])
            ms_buf_printf(&b, ", \"%s\": \"%s\"", cli_step_name((cli_step)i), j->id[i]);
    ms_buf_printf(&b, "}\n");
    ms_status status = b.failed ? ms_fail(err, MS_HOST_MEMORY, "out of memory for the jobs' numbers")
                                : ms_new_file_save(path, b.data, b.length, true, err);
    ms_buf_free(&b);
    return status;
}

static size_t read_file(const cli_job *j, char text[MOST_BYTES]) {
    char path[PATH_MAX];
    if (!cli_log_folder_file(j->folder, CLI_RECORD_NAME, path))
        return 0;
    const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? 0 : read(fd, text, MOST_BYTES);
    if (fd >= 0)
        close(fd);
    return n > 0 ? (size_t)n : 0;
}

/* The numbers go on command lines. */
static bool take(cli_job *j, const ms_json *root) {
    const int64_t tasks = ms_json_get_integer(root, "tasks", 0);
    const char *cluster = ms_json_get_text(root, "cluster");
    char id[CLI_STEP_COUNT][CLI_SLURM_ID_BYTES];
    if (tasks < 1 || tasks > CLI_SUBMIT_MOST_TASKS || !cli_slurm_is_cluster(cluster))
        return false;
    for (int i = 0; i < CLI_STEP_COUNT; i++) {
        const char *text = ms_json_get_text(root, cli_step_name((cli_step)i));
        const size_t length = strlen(text);
        const bool wanted = (i == CLI_STEP_BATCH) == (j->clips > 0);
        if (length >= CLI_SLURM_ID_BYTES || strspn(text, "0123456789") != length || (length > 0) != wanted)
            return false;
        memcpy(id[i], text, length + 1);
    }
    memcpy(j->id, id, sizeof(id));
    snprintf(j->cluster, sizeof(j->cluster), "%s", cluster);
    j->n_tasks = (int)tasks;
    return true;
}

bool cli_record_find(cli_job *j, uint64_t *ret_hash) {
    char text[MOST_BYTES];
    ms_json_doc *doc = NULL;
    const size_t n = read_file(j, text);
    if (n == 0 || ms_json_parse(NULL, text, n, &doc, NULL) != MS_OK)
        return false;
    const ms_json *root = ms_json_root(doc);
    const bool taken = take(j, root);
    *ret_hash = strtoull(ms_json_get_text(root, "asked"), NULL, 16);
    ms_json_doc_destroy(&doc);
    return taken;
}
