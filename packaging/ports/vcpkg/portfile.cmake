# Installs a tarball of the release, and compiles nothing.
@sha512 set(SHA512_{platform} {hash})
if(VCPKG_TARGET_IS_OSX)
  set(platform darwin-x86_64)
  if(VCPKG_TARGET_ARCHITECTURE STREQUAL "arm64")
    set(platform darwin-arm64)
  endif()
else()
  set(platform linux-x86_64-gnu)
  if(VCPKG_TARGET_ARCHITECTURE STREQUAL "arm64")
    set(platform linux-aarch64-gnu)
  endif()
endif()

vcpkg_download_distfile(archive
  URLS "@URL@/temporal-heartbeat-@VERSION@-${platform}.tar.gz"
  FILENAME "temporal-heartbeat-@VERSION@-${platform}.tar.gz"
  SHA512 "${SHA512_${platform}}")
vcpkg_extract_source_archive(unpacked ARCHIVE "${archive}")

# There is no debug build. The files for CMake find the library by its place relative to theirs, so they stay in lib/cmake.
set(VCPKG_BUILD_TYPE release)
set(VCPKG_POLICY_SKIP_MISPLACED_CMAKE_FILES_CHECK enabled)
set(VCPKG_POLICY_SKIP_LIB_CMAKE_MERGE_CHECK enabled)
file(INSTALL "${unpacked}/include" "${unpacked}/lib" DESTINATION "${CURRENT_PACKAGES_DIR}")
if(EXISTS "${unpacked}/bin")
  file(INSTALL "${unpacked}/bin/temporal-heartbeat" DESTINATION "${CURRENT_PACKAGES_DIR}/tools/${PORT}"
    FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
endif()
vcpkg_fixup_pkgconfig()
file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
file(GLOB licences "${unpacked}/share/doc/temporal-heartbeat/LICENSE-*")
vcpkg_install_copyright(FILE_LIST ${licences})
