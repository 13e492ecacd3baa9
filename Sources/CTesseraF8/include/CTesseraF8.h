#pragma once
#include <stddef.h>

// The embedded tokenizer's weights: the bytes of tessera-f8.h5, part of the program,
// so that the program stays one file which finds its default wherever it is copied.
const unsigned char *tessera_f8_data(void);
extern const size_t tessera_f8_size;
