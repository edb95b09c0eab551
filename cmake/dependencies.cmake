# Optional libraries. Each becomes a target memsafe_<name> that exists always and a line of memsafe_have.h, MS_HAVE_<NAME> of 0 or 1,
# which the files that ask include.
# MEMSAFE_WITHOUT names those to leave out though they are there ("sqlite;zstd"), for testing a build without them.
# PROGRAM: one that building with the library needs; its path is in MS_PROGRAM_<NAME>. TOOL: memsafe itself does not use it; a tool
# that does links the target, which has MS_HAVE_<NAME> as a definition.
find_package(PkgConfig)

function(memsafe_dependency name)
  string(TOUPPER ${name} upper)
  cmake_parse_arguments(PARSE_ARGV 1 need "TOOL" "PROGRAM" "")
  set(modules ${need_UNPARSED_ARGUMENTS})
  set(have 0)
  add_library(memsafe_${name} INTERFACE)
  if(NOT MEMSAFE_DEPENDENCIES STREQUAL "core" AND PkgConfig_FOUND AND NOT name IN_LIST MEMSAFE_WITHOUT)
    pkg_check_modules(${upper} IMPORTED_TARGET ${modules})
    if(need_PROGRAM)
      find_program(MS_PROGRAM_${upper} ${need_PROGRAM})
    endif()
    if(${upper}_FOUND AND (NOT need_PROGRAM OR MS_PROGRAM_${upper}))
      set(have 1)
      target_link_libraries(memsafe_${name} INTERFACE PkgConfig::${upper})
    endif()
  endif()
  if(NOT have AND MEMSAFE_DEPENDENCIES STREQUAL "all")
    message(FATAL_ERROR "${name} (${modules} ${need_PROGRAM}) was not found; `make deps` installs it")
  endif()
  if(need_TOOL)
    target_compile_definitions(memsafe_${name} INTERFACE MS_HAVE_${upper}=${have})
  else()
    set(MEMSAFE_HAVE "${MEMSAFE_HAVE}#define MS_HAVE_${upper} ${have}\n" PARENT_SCOPE)
    target_link_libraries(memsafe_flags INTERFACE memsafe_${name})
    if(have) # who links the static library needs them too
      list(JOIN ${upper}_LDFLAGS " " libraries)
      set(MEMSAFE_PC_LIBRARIES "${libraries} ${MEMSAFE_PC_LIBRARIES}" PARENT_SCOPE)
    endif()
  endif()
  set(MS_HAVE_${upper} ${have} PARENT_SCOPE)
  message(STATUS "memsafe: ${name}: ${have}")
endfunction()

# FFmpeg 4.4; what differs in later versions is in src/media/av_compat.h.
memsafe_dependency(ffmpeg libavformat>=58.76 libavcodec>=58.134 libavutil>=56.70 libswscale>=5.9 libswresample>=3.9)
memsafe_dependency(yaml yaml-0.1)
memsafe_dependency(onnx libprotobuf-c PROGRAM protoc-c)
memsafe_dependency(sqlite sqlite3)
memsafe_dependency(zstd libzstd)
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/have/memsafe_have.h CONTENT "/* Written by CMake. */\n${MEMSAFE_HAVE}" @ONLY)
target_include_directories(memsafe_flags INTERFACE ${CMAKE_BINARY_DIR}/have)
memsafe_dependency(espeak espeak-ng TOOL)
# `memsafe serve` (serve/): of the command alone, not of the library.
memsafe_dependency(microhttpd libmicrohttpd>=0.9.73 TOOL)
memsafe_dependency(seccomp libseccomp TOOL)
memsafe_dependency(curl libcurl>=7.81 TOOL)
