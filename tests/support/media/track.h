/* Track files with a made-up face: for clips in which nothing would be found. */
#ifndef MS_TESTS_SUPPORT_MEDIA_TRACK_H
#define MS_TESTS_SUPPORT_MEDIA_TRACK_H

#include "support/cli.h"

/* Landmarks that the alignment needs, around a point; the others lie between. */
static inline void test_write_track_line(FILE *f, int frame, int x, int y, int size) {
    static const int left_brow[] = {43, 48, 49, 51, 50}, right_brow[] = {101, 102, 103, 104, 105},
                     nose[] = {74, 77, 83, 86};
    int points[106][2];
    for (int i = 0; i < 106; i++) {
        points[i][0] = x + (i % 11 - 5) * size / 10;
        points[i][1] = y + (i / 11 - 5) * size / 10;
    }
    for (int i = 0; i < 5; i++) {
        points[left_brow[i]][0] = x - size / 4;
        points[right_brow[i]][0] = x + size / 4;
        points[left_brow[i]][1] = points[right_brow[i]][1] = y - size / 4;
    }
    for (int i = 0; i < 4; i++) {
        points[nose[i]][0] = x;
        points[nose[i]][1] = y;
    }
    fprintf(f, "{\"frame\":%d,\"bbox\":[%d,%d,%d,%d],\"landmarks106\":[", frame, x - size / 2, y - size / 2,
            x + size / 2, y + size / 2);
    for (int i = 0; i < 106; i++)
        fprintf(f, "%s[%d,%d]", i ? "," : "", points[i][0], points[i][1]);
    fprintf(f, "]}\n");
}

static inline const char *test_write_track(const char *name, int frames, int x, int y, int size,
                                           int missing_from, int missing_to) {
    const char *path = test_file(name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < frames; i++)
        if (i < missing_from || i >= missing_to)
            test_write_track_line(f, i, x + i % 3, y, size);
    fclose(f);
    return path;
}

#endif
