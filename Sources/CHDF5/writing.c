// Files as h5py writes them by default: old groups, datasets in one run, no times. Data are not written
// here: their place is fixed when a dataset is made, and the caller fills it.
#include <string.h>

#include "CHDF5.h"

// Gives back an identifier of any kind without losing the words on an earlier failure.
static void release(hid_t id) {
  if (id < 0) return;
  hid_t stack = H5Eget_current_stack();  // empties the current stack
  H5Idec_ref(id);
  if (stack >= 0) H5Eset_current_stack(stack);  // also closes the copy
}

// What was just made, or nothing where a step of making it failed.
static hid_t finished(hid_t id, bool done) {
  if (done) return id;
  release(id);
  return H5I_INVALID_HID;
}

// MARK: Element types

// IEEE half: the library has no name for it, and knows it by its fields.
static hid_t make_half(void) {
  hid_t type = H5Tcopy(H5T_IEEE_F32LE);
  if (type < 0) return type;
  return finished(type, H5Tset_fields(type, 15, 10, 5, 0, 10) >= 0 && H5Tset_size(type, 2) >= 0 &&
                            H5Tset_ebias(type, 15) >= 0);
}

static hid_t make_complex(size_t bytes) {
  hid_t part = chdf5_float(bytes / 2);
  hid_t type = part < 0 ? part : H5Tcreate(H5T_COMPOUND, bytes);
  if (type < 0) return type;
  return finished(
      type, H5Tinsert(type, "r", 0, part) >= 0 && H5Tinsert(type, "i", bytes / 2, part) >= 0);
}

static hid_t make_boolean(void) {
  hid_t type = H5Tenum_create(H5T_STD_I8LE);
  if (type < 0) return type;
  signed char no = 0, yes = 1;
  return finished(
      type, H5Tenum_insert(type, "FALSE", &no) >= 0 && H5Tenum_insert(type, "TRUE", &yes) >= 0);
}

// A type that the caller closes.
static hid_t make_type(chdf5_kind kind, size_t bytes) {
  switch (kind) {
    case CHDF5_INTEGER: return H5Tcopy(chdf5_integer(bytes, true));
    case CHDF5_UNSIGNED: return H5Tcopy(chdf5_integer(bytes, false));
    case CHDF5_FLOAT: return bytes == 2 ? make_half() : H5Tcopy(chdf5_float(bytes));
    case CHDF5_COMPLEX: return make_complex(bytes);
    case CHDF5_BOOLEAN: return make_boolean();
    case CHDF5_OPAQUE: return H5Tcreate(H5T_OPAQUE, bytes);
  }
  return H5I_INVALID_HID;
}

// MARK: Files

static hid_t make_access(void) {
  hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  if (access < 0) return access;
  // Data start at multiples of 64 bytes, so that a mapped file can be used as it lies.
  if (H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) < 0 || H5Pset_alignment(access, 512, 64) < 0) {
    release(access);
    return H5I_INVALID_HID;
  }
#if H5_VERSION_GE(1, 10, 7)
  // The caller holds the file's lock through a descriptor of its own.
  H5Pset_file_locking(access, false, true);
#endif
  return access;
}

hid_t chdf5_create(const char *path) {
  hid_t access = make_access();
  if (access < 0) return access;
  hid_t creation = H5Pcreate(H5P_FILE_CREATE);
  hid_t file = H5I_INVALID_HID;
  if (creation >= 0 && H5Pset_obj_track_times(creation, false) >= 0) {
    file = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
  }
  release(creation);
  release(access);
  return file;
}

hid_t chdf5_reopen(const char *path) {
  hid_t access = make_access();
  if (access < 0) return access;
  hid_t file = H5Fopen(path, H5F_ACC_RDWR, access);
  release(access);
  return file;
}

bool chdf5_close(hid_t file) {
  bool done = H5Fflush(file, H5F_SCOPE_LOCAL) >= 0;
  if (done) return H5Fclose(file) >= 0;
  // Why it could not be written, not what closing says of it.
  hid_t stack = H5Eget_current_stack();
  H5Fclose(file);
  if (stack >= 0) H5Eset_current_stack(stack);
  return false;
}

// MARK: Objects

static hid_t make_link_creation(void) {
  hid_t links = H5Pcreate(H5P_LINK_CREATE);
  if (links < 0) return links;
  return finished(links, H5Pset_create_intermediate_group(links, 1) >= 0 &&
                             H5Pset_char_encoding(links, H5T_CSET_UTF8) >= 0);
}

static hid_t make_dataset_creation(void) {
  hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
  if (creation < 0) return creation;
  return finished(creation, H5Pset_layout(creation, H5D_CONTIGUOUS) >= 0 &&
                                H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY) >= 0 &&
                                H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER) >= 0 &&
                                H5Pset_obj_track_times(creation, false) >= 0);
}

bool chdf5_add_dataset(
    hid_t file, const char *name, chdf5_kind kind, size_t bytes, unsigned rank,
    const hsize_t *extents, uint64_t *offset) {
  hid_t type = make_type(kind, bytes);
  hid_t space = rank == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple((int)rank, extents, NULL);
  hid_t creation = make_dataset_creation();
  hid_t links = make_link_creation();
  hid_t dataset = H5I_INVALID_HID;
  if (type >= 0 && space >= 0 && creation >= 0 && links >= 0) {
    dataset = H5Dcreate2(file, name, type, space, links, creation, H5P_DEFAULT);
  }
  bool done = dataset >= 0;
  if (done) {
    haddr_t address = H5Dget_offset(dataset);
    *offset = address == HADDR_UNDEF ? 0 : address;
    done = H5Dclose(dataset) >= 0;
  }
  release(links);
  release(creation);
  release(space);
  release(type);
  return done;
}

bool chdf5_add_group(hid_t file, const char *name) {
  hid_t links = make_link_creation();
  if (links < 0) return false;
  hid_t group = H5Gcreate2(file, name, links, H5P_DEFAULT, H5P_DEFAULT);
  release(links);
  return group >= 0 && H5Gclose(group) >= 0;
}

bool chdf5_add_link(hid_t file, const char *existing, const char *name) {
  hid_t links = make_link_creation();
  if (links < 0) return false;
  bool done = H5Lcreate_hard(file, existing, file, name, links, H5P_DEFAULT) >= 0;
  release(links);
  return done;
}

bool chdf5_add_text(hid_t file, const char *object, const char *name, const char *text) {
  hid_t owner = H5Oopen(file, object, H5P_DEFAULT);
  if (owner < 0) return false;
  hid_t space = H5Screate(H5S_SCALAR);
  hid_t type = H5Tcopy(H5T_C_S1);
  hid_t attribute = H5I_INVALID_HID;
  if (space >= 0 && type >= 0 && H5Tset_size(type, H5T_VARIABLE) >= 0 &&
      H5Tset_cset(type, H5T_CSET_UTF8) >= 0) {
    hid_t creation = H5Pcreate(H5P_ATTRIBUTE_CREATE);
    if (creation >= 0 && H5Pset_char_encoding(creation, H5T_CSET_UTF8) >= 0) {
      attribute = H5Acreate2(owner, name, type, space, creation, H5P_DEFAULT);
    }
    release(creation);
  }
  bool done = attribute >= 0 && H5Awrite(attribute, type, &text) >= 0;
  release(attribute);
  release(type);
  release(space);
  release(owner);
  return done;
}
