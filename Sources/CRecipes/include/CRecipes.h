#pragma once
#include <stddef.h>

// The shipped recipes: the bytes of the files in recipes/, part of the program.
struct tessera_recipe {
  const char *name;
  const unsigned char *text;
  size_t size;
};

extern const size_t tessera_recipe_count;
struct tessera_recipe tessera_recipe(ptrdiff_t index);
