import CChecksums

/// The checksums of record files.
package enum RecordChecksum {
  /// TFRecord's masked CRC-32C.
  package static func masked(_ bytes: [UInt8]) -> UInt32 {
    let crc = unsafe bytes.withUnsafeBufferPointer { bytes in
      unsafe cchecksums_crc32c(bytes.baseAddress, bytes.count)
    }
    return ((crc >> 15) | (crc << 17)) &+ 0xA282_EAD8
  }

  /// Riegeli's HighwayHash.
  package static func riegeli(_ bytes: [UInt8]) -> UInt64 {
    unsafe bytes.withUnsafeBufferPointer { bytes in
      unsafe cchecksums_riegeli(bytes.baseAddress, bytes.count)
    }
  }
}
