# nvcc, for the plug-in memsafe-cuda.so. It is called by itself: CMake's own language for CUDA would want a card's architecture named and a
# C++ compiler for all of the project.
#
# Its kernels take minutes. So "auto" leaves it to what is installed (memsafe_installed, or the target memsafe_cuda); "on" makes it a part of
# every build, and tests it.
set(MEMSAFE_CUDA "auto" CACHE STRING "The plug-in for CUDA cards: auto: where nvcc is, for an installation; off; on: always, nvcc must be there")
set_property(CACHE MEMSAFE_CUDA PROPERTY STRINGS auto off on)
set(MEMSAFE_CUDA_ARCHS "75;80;86;89;90a;100;120" CACHE STRING "Architectures that kernels are compiled for; PTX of the last one is for later cards")

set(MEMSAFE_NVCC "")
set(cuda_old "")
if(MEMSAFE_CUDA STREQUAL "on" OR (MEMSAFE_CUDA STREQUAL "auto" AND NOT MEMSAFE_SANITIZE AND NOT MEMSAFE_DEPENDENCIES STREQUAL "core"))
  find_program(MEMSAFE_NVCC_PATH nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda /opt/cuda PATH_SUFFIXES bin DOC "CUDA's compiler")
  if(MEMSAFE_NVCC_PATH)
    get_filename_component(cuda_real ${MEMSAFE_NVCC_PATH} REALPATH)
    get_filename_component(cuda_root ${cuda_real}/../.. ABSOLUTE)
    find_path(MEMSAFE_CUDA_INCLUDE cuda_runtime_api.h HINTS ${cuda_root} PATH_SUFFIXES include DOC "Headers of CUDA")
    find_library(MEMSAFE_CUDART cudart_static HINTS ${cuda_root} PATH_SUFFIXES lib64 lib DOC "CUDA's runtime as a static library")
    # src/device/cuda/memory/vmm.c asks for the driver's functions by cudaGetDriverEntryPointByVersion().
    execute_process(COMMAND ${MEMSAFE_NVCC_PATH} --version OUTPUT_VARIABLE cuda_says ERROR_QUIET)
    string(REGEX MATCH "release ([0-9]+\\.[0-9]+)" cuda_says "${cuda_says}")
    set(cuda_release "${CMAKE_MATCH_1}")
    if(cuda_release VERSION_LESS 12.5)
      set(cuda_old " is of CUDA ${cuda_release}, 12.5 or later is needed")
    elseif(MEMSAFE_CUDA_INCLUDE AND MEMSAFE_CUDART)
      set(MEMSAFE_NVCC ${MEMSAFE_NVCC_PATH})
      # Later cards then translate PTX at their first opening. That of 90a is for Hopper alone.
      if(cuda_release VERSION_LESS 12.8 AND MEMSAFE_CUDA_ARCHS MATCHES "1[0-9]0")
        list(REMOVE_ITEM MEMSAFE_CUDA_ARCHS 90 100 120)
        list(APPEND MEMSAFE_CUDA_ARCHS 90)
        message(STATUS "CUDA ${cuda_release} knows no Blackwell (12.8 does): no machine code for sm_100 and sm_120")
      endif()
    endif()
  endif()
  if(MEMSAFE_CUDA STREQUAL "on" AND NOT MEMSAFE_NVCC)
    message(FATAL_ERROR "MEMSAFE_CUDA is on, and there is no CUDA: nvcc \"${MEMSAFE_NVCC_PATH}\"${cuda_old}, headers \"${MEMSAFE_CUDA_INCLUDE}\", runtime \"${MEMSAFE_CUDART}\"")
  endif()
  if(MEMSAFE_NVCC)
    message(STATUS "CUDA: ${MEMSAFE_NVCC}, for sm_${MEMSAFE_CUDA_ARCHS}")
  elseif(cuda_old)
    message(STATUS "CUDA: ${MEMSAFE_NVCC_PATH}${cuda_old}: no plug-in for CUDA cards")
  else()
    message(STATUS "CUDA: no nvcc, no plug-in for CUDA cards")
  endif()
endif()

# Machine code for each architecture, and PTX of the last one. Products and sums are fused where the source says so, nowhere else.
set(cuda_code "")
foreach(arch ${MEMSAFE_CUDA_ARCHS})
  list(APPEND cuda_code -gencode arch=compute_${arch},code=sm_${arch})
endforeach()
list(GET MEMSAFE_CUDA_ARCHS -1 arch)
list(APPEND cuda_code -gencode arch=compute_${arch},code=compute_${arch})

# The objects of kernels (.cu), into ret_objects.
function(cuda_objects ret_objects)
  set(objects "")
  foreach(file ${ARGN})
    string(REPLACE "/" "_" name ${file})
    set(object ${CMAKE_CURRENT_BINARY_DIR}/cuda_${name}.o)
    add_custom_command(
      OUTPUT ${object}
      COMMAND ${CMAKE_C_COMPILER_LAUNCHER} ${MEMSAFE_NVCC} -c -std=c++17 -O3 -fmad=false ${cuda_code} -Xcompiler
              -fPIC,-fvisibility=hidden,-fno-exceptions,-fno-rtti,-fno-threadsafe-statics -I ${PROJECT_SOURCE_DIR}/src -I
              ${PROJECT_SOURCE_DIR}/include -MD -MF ${object}.d -o ${object} ${CMAKE_CURRENT_SOURCE_DIR}/${file}
      DEPENDS ${file}
      DEPFILE ${object}.d
      COMMENT "Compiling kernels of ${file} by nvcc"
      VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  set(${ret_objects} ${objects} PARENT_SCOPE)
endfunction()
