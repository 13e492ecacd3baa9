package import TesseraCore

/// One open `.safetensors` file with its checked header.
package struct SafetensorsShard: Sendable {
  package let region: FileRegion
  package let header: SafetensorsHeader
  /// Where the data start, in bytes from the start of the file.
  package let dataStart: Int

  /// The path of the file as messages name it.
  package var path: String { region.name }

  /// Opens a file and checks its header against its size.
  package init(path: String) throws {
    try self.init(region: FileRegion(path: path))
  }

  package init(region: FileRegion) throws {
    self.region = region
    let path = region.name
    let size = region.length
    if let words = try FailedDownload.words(for: region) {
      throw TesseraError.malformed(words, file: path)
    }
    guard size >= SafetensorsHeader.lengthSize else {
      throw TesseraError.malformed("\(size) bytes are too few for a header", file: path)
    }
    let prefix = try region.bytes(0..<SafetensorsHeader.lengthSize)
    let length = prefix.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard length <= UInt64(SafetensorsHeader.byteLimit) else {
      let cause = "claims \(length) bytes; the format allows \(SafetensorsHeader.byteLimit)"
      throw TesseraError.malformed(cause, file: path, place: "header")
    }
    dataStart = SafetensorsHeader.lengthSize + Int(length)
    guard dataStart <= size else {
      let cause = "claims \(length) bytes, the file has \(size): it is cut off or no safetensors"
      throw TesseraError.malformed(cause, file: path, place: "header")
    }
    let json = try region.bytes(SafetensorsHeader.lengthSize..<dataStart)
    header = try SafetensorsHeader(json: json, dataSize: size - dataStart, file: path)
  }
}
