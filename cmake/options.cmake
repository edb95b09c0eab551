# Compiler flags for the whole project, and the switches a person may set.
option(MEMSAFE_TESTS "Build the tests" ON)
option(MEMSAFE_WERROR "Treat warnings as errors (developers and CI: a compiler that is newer than this code warns of more)" OFF)
set(MEMSAFE_SANITIZE "" CACHE STRING "Sanitizers: address,undefined or thread")
set(MEMSAFE_DEPENDENCIES "auto" CACHE STRING "auto: use what is found; core: a C compiler alone; all: every library must be there")
set_property(CACHE MEMSAFE_DEPENDENCIES PROPERTY STRINGS auto core all)
option(MEMSAFE_COVERAGE "Count which lines run (gcc; `make coverage`)" OFF)
option(MEMSAFE_FUZZ "Build the libFuzzer targets (clang)" OFF)
option(MEMSAFE_PYTHON "Install the library for a Python package (python/pyproject.toml)" OFF)
set(MEMSAFE_MAINTAINER "memsafe maintainers <maintainers@memsafe.invalid>" CACHE STRING "Whom the Debian package names")
set(MEMSAFE_ZSH_DIR ${CMAKE_INSTALL_DATADIR}/zsh/site-functions CACHE STRING "Where zsh's completion is installed (Debian's own packages: share/zsh/vendor-completions)")

add_library(memsafe_flags INTERFACE)
# -ffp-contract=off: a*b+c is fused only where the code says fma, so that every compiler and instruction set rounds alike.
# -fno-math-errno lets sqrtf and friends become instructions; it changes no value.
target_compile_options(memsafe_flags INTERFACE -Wall -Wextra -Wshadow
                       $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes> $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes> -Wpointer-arith -Wundef -Wvla -fvisibility=hidden -ffp-contract=off -fno-math-errno)
target_compile_definitions(memsafe_flags INTERFACE _GNU_SOURCE)
if(MEMSAFE_WERROR)
  target_compile_options(memsafe_flags INTERFACE -Werror)
endif()
if(MEMSAFE_SANITIZE)
  target_compile_options(memsafe_flags INTERFACE -fsanitize=${MEMSAFE_SANITIZE} -fno-omit-frame-pointer
                         -fno-sanitize-recover=all)
  target_link_options(memsafe_flags INTERFACE -fsanitize=${MEMSAFE_SANITIZE})
endif()
if(MEMSAFE_COVERAGE) # counting atomically would make kernels a hundred times slower; a count that two threads lose is not 0 for it
  target_compile_options(memsafe_flags INTERFACE --coverage -fprofile-update=single)
  target_link_options(memsafe_flags INTERFACE --coverage)
endif()
if(MEMSAFE_FUZZ)
  target_compile_options(memsafe_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
find_package(Threads REQUIRED)
target_link_libraries(memsafe_flags INTERFACE Threads::Threads m ${CMAKE_DL_LIBS})
