#pragma once
#include <hdf5.h>

// HDF5 spells these constants as macros that first call H5open(), which the
// Swift importer cannot translate ("structure not supported").
static inline unsigned chdf5_read_only(void) { return H5F_ACC_RDONLY; }
static inline hid_t chdf5_native_float(void) { return H5T_NATIVE_FLOAT; }
