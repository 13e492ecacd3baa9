// The checksums of record files: CRC-32C of TFRecord, HighwayHash-64 of Riegeli and so of ArrayRecord.
#pragma once
#include <stddef.h>
#include <stdint.h>

// The CRC-32C (Castagnoli) of bytes.
uint32_t cchecksums_crc32c(const uint8_t *bytes, size_t count);

// The 64-bit HighwayHash of bytes under the key of Riegeli's records.
uint64_t cchecksums_riegeli(const uint8_t *bytes, size_t count);
