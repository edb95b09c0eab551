# The library in a Python package (python/pyproject.toml), which installs this component and nothing else. A package may be unpacked
# anywhere, so that links and versions in the file's name would be lost.
if(MEMSAFE_PYTHON)
  install(FILES $<TARGET_FILE:memsafe_shared> DESTINATION memsafe RENAME libmemsafe.so COMPONENT python
          PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  install(FILES LICENSE DESTINATION memsafe COMPONENT python)
endif()
