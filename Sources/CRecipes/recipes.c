#include "CRecipes.h"

// Clang since 19 knows C23's #embed in C17 too, and warns of it.
#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char recipe_0[] = {
#embed "recipes/dvae.openai-flava.json"
};
static const unsigned char recipe_1[] = {
#embed "recipes/emu3.original-hf.json"
};
static const unsigned char recipe_2[] = {
#embed "recipes/falcon-mamba.hf-gguf.json"
};
static const unsigned char recipe_3[] = {
#embed "recipes/llama.hf-gguf.json"
};
static const unsigned char recipe_4[] = {
#embed "recipes/llama.meta-hf.json"
};
static const unsigned char recipe_5[] = {
#embed "recipes/mamba.hf-gguf.json"
};
static const unsigned char recipe_6[] = {
#embed "recipes/mamba.mamba_ssm-hf.json"
};
static const unsigned char recipe_7[] = {
#embed "recipes/mamba2.codestral-hf.json"
};
static const unsigned char recipe_8[] = {
#embed "recipes/mamba2.hf-gguf.json"
};
static const unsigned char recipe_9[] = {
#embed "recipes/mamba2.mamba_ssm-hf.json"
};
static const unsigned char recipe_10[] = {
#embed "recipes/qwen3-next.hf-gguf.json"
};
static const unsigned char recipe_11[] = {
#embed "recipes/recurrentgemma.deepmind-hf.json"
};
static const unsigned char recipe_12[] = {
#embed "recipes/retnet.torchscale-fla.json"
};
static const unsigned char recipe_13[] = {
#embed "recipes/rope.adjacent-half.json"
};
static const unsigned char recipe_14[] = {
#embed "recipes/rwkv4.pth-hf.json"
};
static const unsigned char recipe_15[] = {
#embed "recipes/rwkv5.pth-hf.json"
};
static const unsigned char recipe_16[] = {
#embed "recipes/rwkv6.hf-gguf.json"
};
static const unsigned char recipe_17[] = {
#embed "recipes/rwkv6.pth-fla.json"
};
static const unsigned char recipe_18[] = {
#embed "recipes/rwkv6.pth-hf.json"
};
static const unsigned char recipe_19[] = {
#embed "recipes/rwkv7.pth-fla.json"
};
static const unsigned char recipe_20[] = {
#embed "recipes/rwkv7.pth-gguf.json"
};
static const unsigned char recipe_21[] = {
#embed "recipes/s4.v3-v4.json"
};
static const unsigned char recipe_22[] = {
#embed "recipes/s5.jax-torch-layers.json"
};
static const unsigned char recipe_23[] = {
#embed "recipes/s5.jax-torch.json"
};
static const unsigned char recipe_24[] = {
#embed "recipes/var.split-fused.json"
};
static const unsigned char recipe_25[] = {
#embed "recipes/vq.taming-diffusers.json"
};
static const unsigned char recipe_26[] = {
#embed "recipes/vq.taming-janus.json"
};
static const unsigned char recipe_27[] = {
#embed "recipes/vq.taming-llamagen.json"
};

static const struct tessera_recipe recipes[] = {
    {"dvae.openai-flava.json", recipe_0, sizeof(recipe_0)},
    {"emu3.original-hf.json", recipe_1, sizeof(recipe_1)},
    {"falcon-mamba.hf-gguf.json", recipe_2, sizeof(recipe_2)},
    {"llama.hf-gguf.json", recipe_3, sizeof(recipe_3)},
    {"llama.meta-hf.json", recipe_4, sizeof(recipe_4)},
    {"mamba.hf-gguf.json", recipe_5, sizeof(recipe_5)},
    {"mamba.mamba_ssm-hf.json", recipe_6, sizeof(recipe_6)},
    {"mamba2.codestral-hf.json", recipe_7, sizeof(recipe_7)},
    {"mamba2.hf-gguf.json", recipe_8, sizeof(recipe_8)},
    {"mamba2.mamba_ssm-hf.json", recipe_9, sizeof(recipe_9)},
    {"qwen3-next.hf-gguf.json", recipe_10, sizeof(recipe_10)},
    {"recurrentgemma.deepmind-hf.json", recipe_11, sizeof(recipe_11)},
    {"retnet.torchscale-fla.json", recipe_12, sizeof(recipe_12)},
    {"rope.adjacent-half.json", recipe_13, sizeof(recipe_13)},
    {"rwkv4.pth-hf.json", recipe_14, sizeof(recipe_14)},
    {"rwkv5.pth-hf.json", recipe_15, sizeof(recipe_15)},
    {"rwkv6.hf-gguf.json", recipe_16, sizeof(recipe_16)},
    {"rwkv6.pth-fla.json", recipe_17, sizeof(recipe_17)},
    {"rwkv6.pth-hf.json", recipe_18, sizeof(recipe_18)},
    {"rwkv7.pth-fla.json", recipe_19, sizeof(recipe_19)},
    {"rwkv7.pth-gguf.json", recipe_20, sizeof(recipe_20)},
    {"s4.v3-v4.json", recipe_21, sizeof(recipe_21)},
    {"s5.jax-torch-layers.json", recipe_22, sizeof(recipe_22)},
    {"s5.jax-torch.json", recipe_23, sizeof(recipe_23)},
    {"var.split-fused.json", recipe_24, sizeof(recipe_24)},
    {"vq.taming-diffusers.json", recipe_25, sizeof(recipe_25)},
    {"vq.taming-janus.json", recipe_26, sizeof(recipe_26)},
    {"vq.taming-llamagen.json", recipe_27, sizeof(recipe_27)},
};

const size_t tessera_recipe_count = sizeof(recipes) / sizeof(recipes[0]);

struct tessera_recipe tessera_recipe(ptrdiff_t index) { return recipes[index]; }
