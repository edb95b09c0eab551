# What `cmake --install` puts in place for who builds with the library, and how it is taken away. The command's part: cli/CMakeLists.txt.
include(CMakePackageConfigHelpers)

# Relative, so that `cmake --install --prefix` and packages that are moved work.
file(RELATIVE_PATH MEMSAFE_PC_TO_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/memsafe.pc.in ${CMAKE_BINARY_DIR}/memsafe.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/memsafe.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/memsafe)
separate_arguments(MEMSAFE_STATIC_LIBRARIES UNIX_COMMAND "${MEMSAFE_PC_LIBRARIES} -lm -lpthread -ldl")
configure_package_config_file(cmake/memsafeConfig.cmake.in ${CMAKE_BINARY_DIR}/memsafeConfig.cmake INSTALL_DESTINATION ${config_dir}
                              PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
# Before 1.0 a minor version may change what there is.
write_basic_package_version_file(${CMAKE_BINARY_DIR}/memsafeConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/memsafeConfig.cmake ${CMAKE_BINARY_DIR}/memsafeConfigVersion.cmake DESTINATION ${config_dir})

install(TARGETS memsafe_static memsafe_shared)
install(DIRECTORY include/memsafe ${CMAKE_BINARY_DIR}/include/memsafe DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
# What --help and manual pages point to, and the licence where Debian wants it.
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
install(FILES README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN *.md PATTERN images EXCLUDE)

# All of that and nothing else: what `make install` builds.
add_custom_target(memsafe_installed DEPENDS memsafe memsafe_static memsafe_shared memsafe_documents)
if(TARGET memsafe_cuda)
  add_dependencies(memsafe_installed memsafe_cuda)
endif()

add_custom_target(uninstall COMMAND ${CMAKE_COMMAND} -DBUILD_DIR=${CMAKE_BINARY_DIR} -P ${CMAKE_SOURCE_DIR}/cmake/uninstall.cmake VERBATIM)
