# spv_to_header.cmake - a SPIR-V file as a C array of words.
#   cmake -DSPV=x.spv -DOUT=x.spv.h -DNAME=pm_spv_x -P cmake/spv_to_header.cmake
file(READ ${SPV} hex HEX)
string(REGEX REPLACE "(..)(..)(..)(..)" "0x\\4\\3\\2\\1," words "${hex}")
string(REGEX REPLACE "(0x........,0x........,0x........,0x........,0x........,0x........,0x........,0x........,)"
       "\\1\n" words "${words}")
file(WRITE ${OUT} "static const uint32_t ${NAME}[] = {\n${words}\n};\n")
