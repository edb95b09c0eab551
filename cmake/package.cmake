# A Debian package, by `make deb` (cpack -G DEB in a folder that is configured for /usr): all that is installed, in one.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME memsafe)
set(CPACK_PACKAGE_VENDOR memsafe)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "LatentSync lip sync that fits the memory it is given")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
    "Give it a talking-head video and a speech track, and the mouth follows the speech. Loads the official LatentSync 1.5 and 1.6
checkpoints, without Python and without a GPU, and keeps the memory budget it is given. Holds the command with manual pages and
completion, the library with headers, and a small demo model.")
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "${MEMSAFE_MAINTAINER}")
set(CPACK_DEBIAN_PACKAGE_SECTION video)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "curl, unzip") # memsafe-fetch-models
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/package)
include(CPack)
