# What the shared library exports: the functions that the public headers declare MS_API, by a version script that is made from them here.
# The linker says which of them is nowhere defined; tests/install/exports compares what came of it with what a compiler reads.
file(GLOB public_headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/include/memsafe/*.h)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${public_headers})
set(exports)
foreach(header IN LISTS public_headers)
  file(READ ${header} text)
  string(REGEX MATCHALL "\nMS_API [^(;]*[ *]ms_[a-z0-9_]+\\(" declarations "${text}")
  foreach(declaration IN LISTS declarations)
    string(REGEX REPLACE ".*[ *](ms_[a-z0-9_]+)\\($" "\\1" name "${declaration}")
    list(APPEND exports ${name})
  endforeach()
endforeach()
list(SORT exports)
list(JOIN exports ";\n    " exports)
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/memsafe.map CONTENT "{\n  global:\n    @exports@;\n  local:\n    *;\n};\n" @ONLY)

target_link_options(memsafe_shared PRIVATE LINKER:--version-script=${CMAKE_BINARY_DIR}/memsafe.map LINKER:--no-undefined-version)
set_property(TARGET memsafe_shared APPEND PROPERTY LINK_DEPENDS ${CMAKE_BINARY_DIR}/memsafe.map)
