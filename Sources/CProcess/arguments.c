// The C library hands the command line to constructors.
#include "CProcess.h"

static int count;
static char **arguments;

__attribute__((constructor)) static void keep(int number, char **words, char **environment) {
  (void)environment;
  count = number;
  arguments = words;
}

int cprocess_argument_count(void) { return count; }
const char *cprocess_argument(int index) { return index >= 0 && index < count ? arguments[index] : 0; }
