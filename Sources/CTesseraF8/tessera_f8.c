#include "CTesseraF8.h"

// Clang since 19 knows C23's #embed in C17 too, and warns of it.
#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char tessera_f8[] = {
#embed "tessera-f8.h5"
};
const size_t tessera_f8_size = sizeof(tessera_f8);

const unsigned char *tessera_f8_data(void) { return tessera_f8; }
