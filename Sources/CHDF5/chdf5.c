#define _GNU_SOURCE
#include "CHDF5.h"

#include <stdlib.h>
#include <string.h>

#if H5_VERSION_GE(1, 12, 0)
typedef H5O_info1_t object_info;
#else
typedef H5O_info_t object_info;
#endif

void chdf5_stay_at_exit(void) { H5dont_atexit(); }

// MARK: Walking

typedef struct {
  void *context;
  chdf5_visitor visitor;
} visit;

static herr_t visit_link(hid_t group, const char *name, const H5L_info_t *info, void *data) {
  (void)group;
  const visit *self = data;
  chdf5_link kind = info->type == H5L_TYPE_HARD       ? CHDF5_HARD_LINK
                    : info->type == H5L_TYPE_SOFT     ? CHDF5_SOFT_LINK
                    : info->type == H5L_TYPE_EXTERNAL ? CHDF5_EXTERNAL_LINK
                                                      : CHDF5_OTHER_LINK;
  return self->visitor(self->context, name, strlen(name), kind) ? 0 : 1;
}

bool chdf5_visit_links(hid_t group, void *context, chdf5_visitor visitor) {
  visit self = {context, visitor};
  H5_index_t order = H5_INDEX_NAME;
  hid_t creation = H5Gget_create_plist(group);
  if (creation >= 0) {
    unsigned flags = 0;
    if (H5Pget_link_creation_order(creation, &flags) >= 0 && (flags & H5P_CRT_ORDER_INDEXED)) {
      order = H5_INDEX_CRT_ORDER;
    }
    H5Pclose(creation);
  }
  hsize_t position = 0;
  return H5Literate(group, order, H5_ITER_INC, &position, visit_link, &self) >= 0;
}

static herr_t visit_attribute(hid_t object, const char *name, const H5A_info_t *info, void *data) {
  (void)object;
  (void)info;
  const visit *self = data;
  return self->visitor(self->context, name, strlen(name), CHDF5_HARD_LINK) ? 0 : 1;
}

bool chdf5_visit_attributes(hid_t object, void *context, chdf5_visitor visitor) {
  visit self = {context, visitor};
  hsize_t position = 0;
  return H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, &position, visit_attribute, &self) >= 0;
}

static bool visit_variable_strings(
    hid_t attribute, hid_t type, size_t count, void *context, chdf5_visitor visitor) {
  char **texts = calloc(count, sizeof(char *));
  if (texts == NULL) return false;
  hid_t space = H5Aget_space(attribute);
  bool done = space >= 0 && H5Aread(attribute, type, texts) >= 0;
  if (done) {
    for (size_t i = 0; i < count; i++) {
      const char *text = texts[i] == NULL ? "" : texts[i];
      if (!visitor(context, text, strlen(text), CHDF5_HARD_LINK)) break;
    }
    H5Dvlen_reclaim(type, space, H5P_DEFAULT, texts);
  }
  if (space >= 0) H5Sclose(space);
  free(texts);
  return done;
}

bool chdf5_visit_strings(
    hid_t attribute, hid_t type, size_t count, void *context, chdf5_visitor visitor) {
  if (H5Tis_variable_str(type) > 0) {
    if (!chdf5_attribute_fits(attribute, type)) return false;
    return visit_variable_strings(attribute, type, count, context, visitor);
  }
  size_t width = H5Tget_size(type);
  H5T_str_t padding = H5Tget_strpad(type);
  if (width == 0 || padding < 0) return false;
  char *texts = calloc(count, width);
  if (texts == NULL) return false;
  bool done = H5Aread(attribute, type, texts) >= 0;
  for (size_t i = 0; done && i < count; i++) {
    const char *text = texts + i * width;
    size_t length = padding == H5T_STR_NULLTERM ? strnlen(text, width) : width;
    char pad = padding == H5T_STR_SPACEPAD ? ' ' : '\0';
    while (length > 0 && text[length - 1] == pad) length--;
    if (!visitor(context, text, length, CHDF5_HARD_LINK)) break;
  }
  free(texts);
  return done;
}

// Refuses to leave the file: what an external link names is not ours to open.
static herr_t refuse_external(
    const char *from, const char *path, const char *file, const char *object, unsigned *flags,
    hid_t access, void *data) {
  (void)from, (void)path, (void)file, (void)object, (void)flags, (void)access, (void)data;
  return -1;
}

bool chdf5_find_object(hid_t group, const char *name, chdf5_object *kind, uint64_t *address) {
  object_info info;
  hid_t access = H5Pcreate(H5P_LINK_ACCESS);
  if (access < 0) return false;
  bool done = H5Pset_elink_cb(access, refuse_external, NULL) >= 0 &&
              H5Oget_info_by_name2(group, name, &info, H5O_INFO_BASIC, access) >= 0;
  chdf5_close_keeping_failure(access);
  if (!done) return false;
  *kind = info.type == H5O_TYPE_GROUP            ? CHDF5_GROUP
          : info.type == H5O_TYPE_DATASET        ? CHDF5_DATASET
          : info.type == H5O_TYPE_NAMED_DATATYPE ? CHDF5_NAMED_TYPE
                                                 : CHDF5_OTHER_OBJECT;
  *address = info.addr;
  return true;
}

// MARK: Failures

typedef struct {
  char outer[160];
  char inner[320];
  int code;
} failure;

static void copy_line(char *line, size_t capacity, const char *text) {
  size_t length = strnlen(text, capacity - 1);
  for (size_t i = 0; i < length; i++) {
    unsigned char byte = (unsigned char)text[i];
    line[i] = byte < 0x20 || byte == 0x7f ? ' ' : (char)byte;
  }
  while (length > 0 && line[length - 1] == ' ') length--;
  line[length] = '\0';
}

// The number that the library puts into its words on a failed call to the system, after the file's name.
static int system_error(const char *text) {
  static const char mark[] = "errno = ";
  int code = 0;
  while ((text = strstr(text, mark))) {
    text += sizeof mark - 1;
    code = atoi(text);
  }
  return code;
}

static herr_t keep_message(unsigned depth, const H5E_error2_t *error, void *data) {
  failure *self = data;
  if (error->desc == NULL) return 0;
  if (depth == 0) copy_line(self->outer, sizeof self->outer, error->desc);
  copy_line(self->inner, sizeof self->inner, error->desc);
  int code = system_error(error->desc);
  if (code > 0) self->code = code;
  return 0;
}

int chdf5_describe_failure(char *text, size_t capacity) {
  failure self = {"", "", 0};
  text[0] = '\0';
  if (H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep_message, &self) < 0) return 0;
  H5Eclear2(H5E_DEFAULT);
  bool both = strcmp(self.outer, self.inner) != 0;
  const char *parts[] = {self.outer, both ? ": " : "", both ? self.inner : ""};
  size_t used = 0;
  for (size_t i = 0; i < 3; i++) {
    size_t length = strnlen(parts[i], capacity - 1 - used);
    memcpy(text + used, parts[i], length);
    used += length;
  }
  text[used] = '\0';
  return self.code;
}

void chdf5_close_keeping_failure(hid_t list) {
  hid_t stack = H5Eget_current_stack();  // empties the current stack
  H5Pclose(list);
  if (stack >= 0) H5Eset_current_stack(stack);  // also closes the copy
}

void chdf5_silence(void) { H5Eset_auto2(H5E_DEFAULT, NULL, NULL); }

// MARK: Attributes

bool chdf5_has_object(hid_t file, const char *path) {
  // Each part of the path must be a link before the next is asked for.
  char part[4096];
  size_t length = strnlen(path, sizeof part);
  if (length == sizeof part) return false;
  for (size_t end = 1; end <= length; end++) {
    if (path[end] != '/' && end < length) continue;
    memcpy(part, path, end);
    part[end] = '\0';
    if (H5Lexists(file, part, H5P_DEFAULT) <= 0) return false;
  }
  return true;
}

bool chdf5_attribute_travels(hid_t attribute) {
  hid_t type = H5Aget_type(attribute);
  if (type < 0) return false;
  // A reference is an address of its own file.
  bool travels = H5Tdetect_class(type, H5T_REFERENCE) == 0 && chdf5_attribute_fits(attribute, type);
  H5Tclose(type);
  // An object header holds messages below 64 KiB.
  return travels && H5Aget_storage_size(attribute) < 64000;
}

static bool copy_attribute(hid_t attribute, const char *name, hid_t to) {
  bool done = false;
  hid_t stored = H5Aget_type(attribute), space = H5Aget_space(attribute);
  // A copy of a committed type belongs to no file.
  hid_t type = stored < 0 ? stored : H5Tcopy(stored);
  hid_t copy = H5I_INVALID_HID;
  if (type >= 0 && space >= 0) copy = H5Acreate2(to, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  hssize_t count = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
  size_t width = type < 0 ? 0 : H5Tget_size(type);
  if (copy >= 0 && count == 0) done = true;
  if (copy >= 0 && count > 0 && width > 0 && (size_t)count <= ((size_t)1 << 30) / width) {
    void *values = calloc((size_t)count, width);
    if (values != NULL && H5Aread(attribute, type, values) >= 0) {
      done = H5Awrite(copy, type, values) >= 0;
      H5Dvlen_reclaim(type, space, H5P_DEFAULT, values);
    }
    free(values);
  }
  if (copy >= 0) done = H5Aclose(copy) >= 0 && done;
  if (type >= 0) H5Tclose(type);
  if (stored >= 0) H5Tclose(stored);
  if (space >= 0) H5Sclose(space);
  return done;
}

bool chdf5_copy_attributes(
    hid_t from, const char *source, hid_t to, const char *target, void *context,
    chdf5_visitor wants) {
  hid_t object = H5Oopen(from, source, H5P_DEFAULT);
  hid_t copy = object < 0 ? object : H5Oopen(to, target, H5P_DEFAULT);
  int count = copy < 0 ? -1 : H5Aget_num_attrs(object);
  bool done = count >= 0;
  for (int index = 0; done && index < count; index++) {
    hid_t attribute = H5Aopen_by_idx(
        object, ".", H5_INDEX_NAME, H5_ITER_INC, (hsize_t)index, H5P_DEFAULT, H5P_DEFAULT);
    char name[4096];
    ssize_t length = attribute < 0 ? -1 : H5Aget_name(attribute, sizeof name, name);
    done = length >= 0 && (size_t)length < sizeof name;
    if (done && wants(context, name, (size_t)length, CHDF5_HARD_LINK) &&
        H5Aexists(copy, name) == 0) {
      done = copy_attribute(attribute, name, copy);
    }
    if (attribute >= 0) H5Aclose(attribute);
  }
  if (copy >= 0) H5Oclose(copy);
  if (object >= 0) H5Oclose(object);
  return done;
}

// MARK: Types

hid_t chdf5_integer(size_t bytes, bool is_signed) {
  switch (bytes) {
    case 1: return is_signed ? H5T_STD_I8LE : H5T_STD_U8LE;
    case 2: return is_signed ? H5T_STD_I16LE : H5T_STD_U16LE;
    case 4: return is_signed ? H5T_STD_I32LE : H5T_STD_U32LE;
    case 8: return is_signed ? H5T_STD_I64LE : H5T_STD_U64LE;
    default: return H5I_INVALID_HID;
  }
}

hid_t chdf5_bits(size_t bytes) {
  switch (bytes) {
    case 1: return H5T_STD_B8LE;
    case 2: return H5T_STD_B16LE;
    case 4: return H5T_STD_B32LE;
    case 8: return H5T_STD_B64LE;
    default: return H5I_INVALID_HID;
  }
}

hid_t chdf5_float(size_t bytes) {
  return bytes == 4 ? H5T_IEEE_F32LE : bytes == 8 ? H5T_IEEE_F64LE : H5I_INVALID_HID;
}

hid_t chdf5_open_dataset(hid_t file, const char *name, size_t cache_bytes, size_t cache_slots) {
  hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
  if (access < 0) return access;
  // Weight 1: a chunk that has been read whole goes first, which suits a read from front to back.
  hid_t dataset = H5Pset_chunk_cache(access, cache_slots, cache_bytes, 1.0) < 0
                      ? H5I_INVALID_HID
                      : H5Dopen2(file, name, access);
  chdf5_close_keeping_failure(access);
  return dataset;
}
