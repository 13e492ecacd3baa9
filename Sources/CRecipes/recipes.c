#include "CRecipes.h"

// Clang since 19 knows C23's #embed in C17 too, and warns of it.
#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char recipe_0[] = {
#embed "recipes/falcon-mamba.hf-gguf.json"
};
static const unsigned char recipe_1[] = {
#embed "recipes/mamba.hf-gguf.json"
};
static const unsigned char recipe_2[] = {
#embed "recipes/mamba.mamba_ssm-hf.json"
};
static const unsigned char recipe_3[] = {
#embed "recipes/mamba2.codestral-hf.json"
};
static const unsigned char recipe_4[] = {
#embed "recipes/mamba2.hf-gguf.json"
};
static const unsigned char recipe_5[] = {
#embed "recipes/mamba2.mamba_ssm-hf.json"
};

static const struct tessera_recipe recipes[] = {
    {"falcon-mamba.hf-gguf.json", recipe_0, sizeof(recipe_0)},
    {"mamba.hf-gguf.json", recipe_1, sizeof(recipe_1)},
    {"mamba.mamba_ssm-hf.json", recipe_2, sizeof(recipe_2)},
    {"mamba2.codestral-hf.json", recipe_3, sizeof(recipe_3)},
    {"mamba2.hf-gguf.json", recipe_4, sizeof(recipe_4)},
    {"mamba2.mamba_ssm-hf.json", recipe_5, sizeof(recipe_5)},
};

const size_t tessera_recipe_count = sizeof(recipes) / sizeof(recipes[0]);

struct tessera_recipe tessera_recipe(ptrdiff_t index) { return recipes[index]; }
