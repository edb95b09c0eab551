/* The file that the code which asks is in: a library, a plug-in, or a program that has the library within. */
#ifndef MS_FILES_OWN_FILE_H
#define MS_FILES_OWN_FILE_H

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A program that was found through PATH is named without its folder. */
static inline const char *ms_own_file(void) {
    static const char here;
    Dl_info self;
    return dladdr(&here, &self) && self.dli_fname && strchr(self.dli_fname, '/') ? self.dli_fname
                                                                                 : "/proc/self/exe";
}

/* Which build it is: the file's size and the time at which it was written. */
static inline void ms_own_build(char *ret_text, size_t bytes) {
    struct stat file = {0};
    if (stat(ms_own_file(), &file) != 0)
        file.st_size = 0;
    snprintf(ret_text, bytes, "%lld %lld.%09ld", (long long)file.st_size, (long long)file.st_mtim.tv_sec,
             file.st_mtim.tv_nsec);
}

#endif
