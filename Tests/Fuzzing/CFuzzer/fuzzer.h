// What libFuzzer has for a program with a main of its own (compiler-rt's FuzzerInterface.h).
#pragma once
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback)(const uint8_t *bytes, size_t count));

// Changes `count` bytes in place, which may grow to `most`; returns how many there are now.
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t count, size_t most);
