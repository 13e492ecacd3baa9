#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// SentencePiece behind four functions: C++ exceptions and strings stay inside.

#ifdef __cplusplus
extern "C" {
#endif

typedef struct csp_model csp_model;

// Reads a model; NULL, and a line in `error`, where the bytes are none.
csp_model *csp_open(const uint8_t *bytes, size_t count, char *error, size_t error_size);
void csp_close(csp_model *model);

// The number of pieces.
int32_t csp_size(const csp_model *model);

// The id of a piece by its exact name; -1 where there is none.
int32_t csp_id(const csp_model *model, const char *name);

// Receives the ids of a text; valid during the call only.
typedef void (*csp_receive)(void *sink, const int32_t *ids, size_t count);

// Encodes UTF-8; may be called from many threads. False: out of memory or a library's error.
bool csp_encode(
  const csp_model *model, const char *text, size_t count, csp_receive receive, void *sink);

#ifdef __cplusplus
}
#endif
