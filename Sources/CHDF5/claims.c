// What lists and texts of variable length claim to hold: the library makes room for each before it looks
// whether the file has it, and one that is long may stand in a thousand places.
#include "CHDF5.h"

#include <stdlib.h>

// A list in a file: how many elements, and where in which heap they lie.
enum { reference_bytes = 16 };

// "Converts" lists as a file holds them to as many opaque bytes: they stay what they are.
static herr_t keep_reference(
    hid_t from, hid_t to, H5T_cdata_t *conversion, size_t count, size_t stride, size_t other_stride,
    void *buffer, void *background, hid_t transfer) {
  (void)from, (void)count, (void)stride, (void)other_stride;
  (void)buffer, (void)background, (void)transfer;
  conversion->need_bkg = H5T_BKG_NO;
  return H5Tget_size(to) == reference_bytes ? 0 : -1;
}

// The type of a reference as bytes, to which any list can be read; made once.
static hid_t reference_type(void) {
  static hid_t reference = H5I_INVALID_HID;
  if (reference >= 0) return reference;
  hid_t type = H5Tcreate(H5T_OPAQUE, reference_bytes);
  hid_t list = H5Tvlen_create(H5T_STD_U8LE);
  if (type >= 0 && list >= 0 &&
      H5Tregister(H5T_PERS_SOFT, "reference", list, type, keep_reference) >= 0) {
    reference = type;
  } else if (type >= 0) {
    H5Tclose(type);
  }
  if (list >= 0) H5Tclose(list);
  return reference;
}

static bool file_length(hid_t object, hsize_t *length) {
  hid_t file = H5Iget_file_id(object);
  if (file < 0) return false;
  bool done = H5Fget_filesize(file, length) >= 0;
  H5Fclose(file);
  return done;
}

// The bytes of an element of a list; a text's are single.
static size_t element_width(hid_t type) {
  if (H5Tis_variable_str(type) > 0) return 1;
  hid_t element = H5Tget_super(type);
  size_t width = element < 0 ? 0 : H5Tget_size(element);
  if (element >= 0) H5Tclose(element);
  return width;
}

bool chdf5_attribute_fits(hid_t attribute, hid_t type) {
  bool is_list = H5Tget_class(type) == H5T_VLEN || H5Tis_variable_str(type) > 0;
  // Lists inside of others do not show what they claim.
  if (!is_list) return H5Tdetect_class(type, H5T_VLEN) <= 0;
  size_t width = element_width(type);
  hsize_t length = 0;
  hid_t space = H5Aget_space(attribute), reference = reference_type();
  hssize_t count = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
  if (space >= 0) H5Sclose(space);
  if (count < 0 || count > (1 << 20) || width == 0 || reference < 0) return false;
  uint8_t *references = calloc((size_t)count + 1, reference_bytes);
  bool fits = references != NULL && file_length(attribute, &length) &&
              (count == 0 || H5Aread(attribute, reference, references) >= 0);
  uint64_t sum = 0;
  for (hssize_t index = 0; fits && index < count; index++) {
    const uint8_t *bytes = references + index * reference_bytes;
    uint32_t elements = bytes[0] | bytes[1] << 8 | bytes[2] << 16 | (uint32_t)bytes[3] << 24;
    sum += (uint64_t)elements * width;
    fits = sum <= length;
  }
  free(references);
  return fits;
}
