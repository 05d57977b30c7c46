# Make a C file that holds text files as strings: cmake -DOUTPUT=x.c -DNAMES="a b" -DFILES="a.avsc b.avsc"
# -DPREFIX=sb_avsc_ -DHEADER=dir/x.h -P embed.cmake. Plain ASCII files; the text is kept byte for byte.
separate_arguments(NAMES)
separate_arguments(FILES)
set(code "/* made by cmake/embed.cmake */\n#include \"${HEADER}\"\n")
foreach(name file IN ZIP_LISTS NAMES FILES)
    file(READ ${file} text)
    string(REPLACE "\\" "\\\\" text "${text}")
    string(REPLACE "\"" "\\\"" text "${text}")
    string(REPLACE "\n" "\\n\"\n    \"" text "${text}")
    string(APPEND code "\nconst char ${PREFIX}${name}[] =\n    \"${text}\";\n")
endforeach()
file(WRITE ${OUTPUT} "${code}")
