import TesseraCore

/// Bytes that a pickle of protocol 2 holds as a text: each as the character of its number.
struct Latin1Text: Sendable {
  /// The text as UTF-8.
  let region: FileRegion
  /// How many bytes it stands for.
  let byteCount: Int

  init(region: FileRegion) throws {
    self.region = region
    var count = 0
    // Each character is one byte that is no continuation.
    try region.forEachPiece { piece in count += piece.count { $0 & 0xC0 != 0x80 } }
    byteCount = count
  }

  static func refusal(_ file: String) -> TesseraError {
    let cause = "its bytes are written as a text that is not Latin-1"
    return TesseraError.malformed(cause, file: file, place: "numpy array")
  }

  /// The bytes in a file without a name.
  func unpacked() throws -> FileRegion {
    try FileRegion(temporaryFor: region.name) { append in
      var lead: UInt8?
      try region.forEachPiece { piece in
        var bytes: [UInt8] = []
        bytes.reserveCapacity(piece.count)
        for byte in piece {
          if let first = lead {
            guard byte & 0xC0 == 0x80 else { throw Latin1Text.refusal(region.name) }
            bytes.append(first << 6 | byte & 0x3F)
            lead = nil
          } else if byte < 0x80 {
            bytes.append(byte)
          } else {
            guard byte == 0xC2 || byte == 0xC3 else { throw Latin1Text.refusal(region.name) }
            lead = byte
          }
        }
        try append(bytes[...])
      }
      guard lead == nil else { throw Latin1Text.refusal(region.name) }
    }
  }
}
