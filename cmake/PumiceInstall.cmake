# The libraries as an outside program meets them: libpumice.a, libpumice.so (PUMICE_SHARED),
# pumice.h, pumice.pc and the CMake package Pumice. Both libraries hold the objects of every
# floor; the .so exports what pumice.h declares, as all else is compiled hidden.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(floors base gguf text vk kv sample op verify measure sched model plan engine)
list(TRANSFORM floors REPLACE "(.+)" "$<TARGET_OBJECTS:pm_\\1>" OUTPUT_VARIABLE objects)

function(pumice_library kind)
  string(TOLOWER ${kind} target)
  add_library(pumice_${target} ${kind} ${objects})
  set_target_properties(pumice_${target} PROPERTIES OUTPUT_NAME pumice LINKER_LANGUAGE C)
  target_include_directories(pumice_${target} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(pumice_${target} PRIVATE PkgConfig::PCRE2 PkgConfig::UTF8PROC
    Threads::Threads ${CMAKE_DL_LIBS} m)
  if(PUMICE_SANITIZE)
    target_link_options(pumice_${target} PUBLIC -fsanitize=${PUMICE_SANITIZE})
  endif()
  install(TARGETS pumice_${target} EXPORT Pumice-${target}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT Pumice-${target} NAMESPACE Pumice:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Pumice)
endfunction()

pumice_library(STATIC)
if(PUMICE_SHARED)
  pumice_library(SHARED)
  # Before 1.0 a minor version may break the ABI, so that the soname holds both numbers.
  set_target_properties(pumice_shared PROPERTIES VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
endif()

# The package and the .pc file are relocatable: they find the prefix from where they lie.
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/PumiceConfig.cmake.in
  ${PROJECT_BINARY_DIR}/PumiceConfig.cmake INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Pumice)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/PumiceConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
file(RELATIVE_PATH PUMICE_PC_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" PUMICE_PC_PREFIX "${PUMICE_PC_PREFIX}")
configure_file(${PROJECT_SOURCE_DIR}/cmake/pumice.pc.in ${PROJECT_BINARY_DIR}/pumice.pc @ONLY)

install(FILES ${PROJECT_BINARY_DIR}/PumiceConfig.cmake ${PROJECT_BINARY_DIR}/PumiceConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Pumice)
install(FILES ${PROJECT_BINARY_DIR}/pumice.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${PROJECT_SOURCE_DIR}/include/pumice.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS pumice RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
