# How every target of the project is built: one function for a module, one for a test.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

option(DEDUPFS_TESTS "Build the tests" ON)
option(DEDUPFS_BENCH "Build the micro-benchmarks" OFF)
option(DEDUPFS_FUZZ "Build the libFuzzer targets (clang only)" OFF)
set(DEDUPFS_SANITIZE "" CACHE STRING "Sanitizers for every target, as -fsanitize takes them")

find_program(DEDUPFS_CCACHE ccache)
if(DEDUPFS_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER "${DEDUPFS_CCACHE}")
  set(CMAKE_CXX_COMPILER_LAUNCHER "${DEDUPFS_CCACHE}")
endif()

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(FUSE3 REQUIRED IMPORTED_TARGET fuse3)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(LZ4 REQUIRED IMPORTED_TARGET liblz4)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
find_package(OpenSSL REQUIRED)
find_package(RocksDB REQUIRED)
find_package(spdlog REQUIRED)

# Inside the program RocksDB reaches its thread-local counters, which every comparison of keys asks
# for, without the dynamic linker: 15 % fewer instructions a create. The thread sanitizer knows what
# is not instrumented by the name of its library.
if(DEDUPFS_SANITIZE)
  set(DEDUPFS_ROCKSDB RocksDB::rocksdb-shared)
else()
  set(DEDUPFS_ROCKSDB RocksDB::rocksdb)
endif()

add_library(dedupfs_flags INTERFACE)
target_include_directories(dedupfs_flags INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_options(dedupfs_flags INTERFACE -Wall -Wextra -Werror)
target_link_libraries(dedupfs_flags INTERFACE Threads::Threads)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(dedupfs_flags INTERFACE -Wthread-safety)
else()
  # GCC 12 warns of uninitialized strings and of overflows in inlined library code where there are
  # none (PR 105562, 105329, 107852); clang and the sanitizers look for real ones.
  target_compile_options(dedupfs_flags INTERFACE -Wno-maybe-uninitialized -Wno-array-bounds
                         -Wno-stringop-overflow -Wno-stringop-overread -Wno-restrict)
endif()
if(DEDUPFS_SANITIZE)
  target_compile_options(dedupfs_flags INTERFACE -fsanitize=${DEDUPFS_SANITIZE}
                         -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(dedupfs_flags INTERFACE -fsanitize=${DEDUPFS_SANITIZE})
  if(DEDUPFS_SANITIZE STREQUAL "thread")
    target_link_options(dedupfs_flags INTERFACE
      "-Wl,--version-script=${PROJECT_SOURCE_DIR}/tests/sanitizers/tsan-exports.map")
  endif()
endif()
if(DEDUPFS_FUZZ)
  target_compile_options(dedupfs_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# dedupfs_library(NAME SOURCES file... [PUBLIC target...] [PRIVATE target...])
function(dedupfs_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC dedupfs_flags ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
endfunction()

# dedupfs_test(NAME LABEL label SOURCES file... [LIBS target...] [TIMEOUT seconds])
# Each gtest case becomes a ctest test called NAME.Suite.Case. A case that skips says why.
function(dedupfs_test name)
  cmake_parse_arguments(ARG "SERIAL" "LABEL;TIMEOUT" "SOURCES;LIBS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE dedupfs_flags ${ARG_LIBS} GTest::gtest GTest::gmock
                        GTest::gtest_main)
  if(DEDUPFS_SANITIZE MATCHES "undefined")
    # It doubles the time to compile, and what it is to look at is the code under test.
    target_compile_options(${name} PRIVATE -fno-sanitize=undefined)
  endif()
  set(properties LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT})
  if(ARG_SERIAL)
    list(APPEND properties RESOURCE_LOCK dedupfs_serial)
  endif()
  gtest_discover_tests(${name} TEST_PREFIX "${name}." DISCOVERY_MODE PRE_TEST
                       PROPERTIES ${properties})
endfunction()

# dedupfs_script_test(NAME LABEL label COMMAND command... [TIMEOUT seconds])
function(dedupfs_script_test name)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "COMMAND" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 900)
  endif()
  add_test(NAME ${name} COMMAND ${ARG_COMMAND})
  set_tests_properties(${name} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT}
                       SKIP_REGULAR_EXPRESSION "SKIPPED: needs ")
endfunction()
