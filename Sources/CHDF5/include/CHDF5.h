// What Swift cannot spell of libhdf5: constants that are function calls, callbacks whose types change
// between releases, and a driver that reads one region of a file. Nothing here is thread-safe: the
// caller holds one lock around every call.
#pragma once
#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Opens the HDF5 file that takes `length` bytes from `start` on in an open descriptor, read-only, or
// returns a negative number. The descriptor stays the caller's and must outlive the file. Reads never
// leave the region; closing the file closes every object opened through it; filters come from the
// library alone, never from plug-ins that the file asks for.
hid_t chdf5_open(int descriptor, uint64_t start, uint64_t length);

// For a program, once at its start: after a crash the library must not tidy up at exit.
void chdf5_stay_at_exit(void);

// For a program, once at its start: calls between chdf5_watch and chdf5_unwatch that take far longer than a
// file of such a size can need end the process with one line on standard error and exit code 3.
void chdf5_end_endless_calls(void);

// Marks the calls that read `file`, for chdf5_end_endless_calls.
void chdf5_watch(const char *file);
void chdf5_unwatch(void);

// Says how long an opened file is: calls may take longer with longer ones.
void chdf5_watch_file_of(uint64_t bytes);

// Opens an HDF5 file that lies in memory, as chdf5_open; the bytes must outlive the file.
hid_t chdf5_open_memory(const void *bytes, uint64_t length);

// The kind of a link in a group.
typedef enum {
  CHDF5_HARD_LINK = 0,
  CHDF5_SOFT_LINK = 1,
  CHDF5_EXTERNAL_LINK = 2,
  CHDF5_OTHER_LINK = 3,
} chdf5_link;

// Called with bytes that are not terminated and do not outlive the call. Returning false stops.
typedef bool (*chdf5_visitor)(void *context, const char *bytes, size_t count, chdf5_link link);

// Visits the names of a group's links, in the order of their creation where the file keeps it, else
// by name. False on a damaged group.
bool chdf5_visit_links(hid_t group, void *context, chdf5_visitor visitor);

// Visits the names of an object's attributes, by name. False on damage.
bool chdf5_visit_attributes(hid_t object, void *context, chdf5_visitor visitor);

// Reads a string attribute of `count` strings and visits each without its padding. `type` is the
// attribute's own type: of fixed or variable length. False on damage or lack of memory.
bool chdf5_visit_strings(
    hid_t attribute, hid_t type, size_t count, void *context, chdf5_visitor visitor);

// What stands at a link.
typedef enum {
  CHDF5_GROUP = 0,
  CHDF5_DATASET = 1,
  CHDF5_NAMED_TYPE = 2,
  CHDF5_OTHER_OBJECT = 3,
} chdf5_object;

// Finds the kind and the header's address of the object behind a link, through soft links but never out
// of the file. Two links to one object have one address. False on damage, or where nothing is there.
bool chdf5_find_object(hid_t group, const char *name, chdf5_object *kind, uint64_t *address);

// Whether an object of this path is there.
bool chdf5_has_object(hid_t file, const char *path);

// Whether the lists or texts of variable length of an attribute, of this type, together claim no more than the
// file is long; true where it has none, false for lists inside of other types.
bool chdf5_attribute_fits(hid_t attribute, hid_t type);

// Whether an attribute can be copied into another file: no references, and no more than a header holds.
bool chdf5_attribute_travels(hid_t attribute);

// Copies the attributes of an object to one of another file, types and all: those for whose names
// `wants` returns true and that the other does not have. False on damage or failure.
bool chdf5_copy_attributes(
    hid_t from, const char *source, hid_t to, const char *target, void *context,
    chdf5_visitor wants);

// The library's words on the failure of the last call of this thread, on one line: the outermost
// message, then the cause. Ends with a zero byte; empty where the library said nothing. Returns the
// system's error number where a call to the system failed, else 0.
int chdf5_describe_failure(char *text, size_t capacity);

// Closes a property list without losing the words on an earlier failure, as any other call would.
void chdf5_close_keeping_failure(hid_t list);

// Keeps the library from printing on this thread.
void chdf5_silence(void);

// Little-endian types in memory; the library owns them. `bytes` is 1, 2, 4 or 8.
hid_t chdf5_integer(size_t bytes, bool is_signed);
hid_t chdf5_bits(size_t bytes);
hid_t chdf5_float(size_t bytes);  // 4 or 8

// Undoes the shuffle filter: first all lowest bytes of the elements, then all second bytes, and so on.
// Both buffers hold `bytes`; what is left after whole elements is copied.
void chdf5_unshuffle(uint8_t *to, const uint8_t *from, size_t width, size_t bytes);

// The checksum that the fletcher32 filter stores after a chunk.
uint32_t chdf5_fletcher32(const uint8_t *bytes, size_t count);

// Opens a dataset with a chunk cache of this many bytes, or returns a negative number.
hid_t chdf5_open_dataset(hid_t file, const char *name, size_t cache_bytes, size_t cache_slots);

// MARK: Writing

// The element types of datasets, as h5py and Keras write them.
typedef enum {
  CHDF5_INTEGER = 0,   // signed
  CHDF5_UNSIGNED = 1,  //
  CHDF5_FLOAT = 2,     // IEEE of 2, 4 or 8 bytes
  CHDF5_COMPLEX = 3,   // a compound of two floats, `r` and `i`
  CHDF5_BOOLEAN = 4,   // an enumeration of FALSE and TRUE
  CHDF5_OPAQUE = 5,    // bytes that the library has no type for
} chdf5_kind;

// Empties a file and makes it an HDF5 file that old readers open; negative on failure. Nothing in it
// depends on the time.
hid_t chdf5_create(const char *path);

// Opens a file that chdf5_create made, to add to it; negative on failure.
hid_t chdf5_reopen(const char *path);

// Writes out all that the library holds of a file and closes it. False where that failed: the file is not whole.
bool chdf5_close(hid_t file);

// Adds a dataset in one run, whose data are not written; groups on the way are made. `offset` is where
// its bytes lie, 0 where it has none.
bool chdf5_add_dataset(
    hid_t file, const char *name, chdf5_kind kind, size_t bytes, unsigned rank,
    const hsize_t *extents, uint64_t *offset);

// Adds a group, and those on the way, where there is none of this name.
bool chdf5_add_group(hid_t file, const char *name);

// Gives a dataset a second name.
bool chdf5_add_link(hid_t file, const char *existing, const char *name);

// Adds a UTF-8 string of variable length, ended by a zero byte, as attribute of an object.
bool chdf5_add_text(hid_t file, const char *object, const char *name, const char *text);

// How a dataset holds its rows: arrays of one shape, lists of any length, or UTF-8 text.
typedef enum {
  CHDF5_FIXED_ROWS = 0,
  CHDF5_VARIABLE_ROWS = 1,
  CHDF5_TEXT_ROWS = 2,
} chdf5_rows;

// Creates a file that does not exist yet, or returns a negative number.
hid_t chdf5_create_file(const char *path);

// Creates a dataset without rows that grows, `chunk` rows a chunk; a negative number on failure.
// `element` is the type of the elements, and ignored for text; `extents` are those of a fixed row.
hid_t chdf5_create_rows(
    hid_t file, const char *name, chdf5_rows kind, hid_t element, int rank, const hsize_t *extents,
    hsize_t chunk);

// Appends rows behind the `start` that are there. `data` holds the rows one after the other, each text
// with its zero byte; `sizes` their bytes, and is ignored for fixed rows. False on failure.
bool chdf5_append_rows(
    hid_t dataset, chdf5_rows kind, hid_t element, hsize_t start, hsize_t rows, const uint8_t *data,
    const size_t *sizes);

// What reading rows came to.
typedef enum {
  CHDF5_READ = 0,
  CHDF5_NOT_READ = 1,   // damage or lack of memory: the library's words say more
  CHDF5_TOO_LARGE = 2,  // the rows claim more than the file can hold
  CHDF5_NOT_OURS = 3,   // lists or texts that do not lie as chdf5_create_rows laid them
} chdf5_outcome;

// Reads rows and visits each. `left` is how many bytes the column may still hold in a file of its length;
// what was read is taken off. Lists and texts are checked against it before the library makes room for them.
chdf5_outcome chdf5_read_rows(
    hid_t dataset, chdf5_rows kind, hid_t element, hsize_t start, hsize_t rows, uint64_t *left,
    void *context, chdf5_visitor visitor);
