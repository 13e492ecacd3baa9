#include "CSentencePiece.h"

#include <cstdio>
#include <new>
#include <sentencepiece_processor.h>
#include <string>
#include <vector>

struct csp_model {
  sentencepiece::SentencePieceProcessor processor;
};

csp_model *csp_open(const uint8_t *bytes, size_t count, char *error, size_t error_size) {
  csp_model *model = nullptr;
  try {
    model = new csp_model();
    const auto status = model->processor.LoadFromSerializedProto(
      {reinterpret_cast<const char *>(bytes), count});
    if (status.ok()) return model;
    std::snprintf(error, error_size, "%s", status.ToString().c_str());
  } catch (const std::exception &problem) {
    std::snprintf(error, error_size, "%s", problem.what());
  }
  delete model;
  return nullptr;
}

void csp_close(csp_model *model) { delete model; }

int32_t csp_size(const csp_model *model) { return model->processor.GetPieceSize(); }

int32_t csp_id(const csp_model *model, const char *name) {
  try {
    const int id = model->processor.PieceToId(name);
    return model->processor.IdToPiece(id) == name ? id : -1;
  } catch (const std::exception &) {
    return -1;
  }
}

bool csp_encode(
  const csp_model *model, const char *text, size_t count, csp_receive receive, void *sink) {
  try {
    std::vector<int> ids;
    if (!model->processor.Encode({text, count}, &ids).ok()) return false;
    receive(sink, ids.data(), ids.size());
    return true;
  } catch (const std::exception &) {
    return false;
  }
}
