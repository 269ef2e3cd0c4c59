# Writes a header with the commit of the source, and whether it was changed since; only if it is not what is there.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit "unknown")
endif()
set(text "#pragma once\n#define CLLM_COMMIT \"${commit}\"\n")
if(EXISTS ${TO})
  file(READ ${TO} before)
endif()
if(NOT "${before}" STREQUAL "${text}")
  file(WRITE ${TO} "${text}")
endif()
