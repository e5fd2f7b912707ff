# pumice_flags(TARGET) - the warnings and sanitizers that every target of ours has.
function(pumice_flags target)
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow
    -Wconversion -Wno-sign-conversion -Wstrict-prototypes -Wmissing-prototypes
    -Wvla -ffp-contract=off)
  if(PUMICE_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(PUMICE_SANITIZE)
    target_compile_options(${target} PUBLIC -fsanitize=${PUMICE_SANITIZE}
      -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(${target} PUBLIC -fsanitize=${PUMICE_SANITIZE})
  endif()
  if(PUMICE_FUZZ)
    target_compile_options(${target} PUBLIC -fsanitize=fuzzer-no-link)
  endif()
endfunction()
