import TesseraCore

/// One page of a column chunk as it is stored: what stands in front of it, and its bytes, still packed.
struct ParquetStoredPage {
  let header: ThriftValue
  /// The number of bytes that it unpacks to, levels of a page of the second version among them.
  let unpackedSize: Int
  let bytes: [UInt8]
  /// Where the next page starts.
  let end: Int
  private let place: String

  private static let longestHeader = 1 << 16

  /// Reads the page at an offset of the file.
  ///
  /// - Parameters:
  ///   - file: The file.
  ///   - start: The offset of its header.
  ///   - largest: The most bytes, packed or not, that it may have.
  ///   - place: The file and column, for messages.
  /// - Throws: `TesseraError` where there is no page or it is too large.
  init(of file: FileRegion, at start: Int, largest: Int, place: String) throws {
    guard (0..<file.length).contains(start) else {
      throw TesseraError.malformed("a page outside of the file", file: place)
    }
    let head = try file.bytes(start..<min(file.length, start + Self.longestHeader))
    var reader = ThriftCompactReader(head[...], place: place)
    header = try reader.structure()
    let first = start + head.count - reader.rest.count
    guard let raw = header[2]?.integer, let packed = header[3]?.integer, raw >= 0,
      (0...file.length - first).contains(packed)
    else { throw TesseraError.malformed("a damaged page", file: place) }
    guard raw <= largest, packed <= largest else {
      throw TesseraError.malformed("a page of more than \(largest) bytes", file: place)
    }
    unpackedSize = raw
    bytes = try file.bytes(first..<first + packed)
    end = first + packed
    self.place = place
  }

  /// The kind: 0 values, 2 a dictionary, 3 values of the second version.
  var kind: Int? { header[1]?.integer }

  /// Unpacks the page from a byte on.
  ///
  /// - Parameters:
  ///   - start: How many bytes in front stand unpacked, such as the levels of a page of the second version.
  ///   - codec: The compression, by its number in the format.
  /// - Returns: ``unpackedSize`` bytes, less those in front.
  /// - Throws: `TesseraError` where the compression is another or the size is.
  func unpacked(from start: Int = 0, codec: Int) throws -> [UInt8] {
    let size = unpackedSize - start
    let packed = start == 0 ? bytes : Array(bytes[start...])
    let content: [UInt8]?
    switch codec {
    case ParquetLayout.plainCodec: content = packed.count == size ? packed : nil
    case ParquetLayout.snappyCodec: content = Snappy.decompress(packed, size: size)
    case ParquetLayout.gzipCodec: content = try gzip(packed, size: size)
    case ParquetLayout.zstdCodec: content = Zstandard.decompress(packed, size: size)
    default:
      let name = ParquetLayout.codecName(codec)
      throw TesseraError.malformed(
        "compressed by \(name); write it with snappy, gzip, zstd or none",
        file: place
      )
    }
    guard let content else {
      throw TesseraError.malformed("a page that does not decompress to its size", file: place)
    }
    return content
  }

  private func gzip(_ bytes: [UInt8], size: Int) throws -> [UInt8]? {
    var content: [UInt8] = []
    do {
      var inflation = try Inflation(name: place, wrapper: .gzip)
      try inflation.add(bytes[...]) { part in
        guard content.count + part.count <= size else {
          throw TesseraError.malformed("a page beyond its size", file: place)
        }
        content += part
      }
      try inflation.finish()
    } catch let error as TesseraError {
      throw TesseraError.malformed(error.cause, file: place)
    }
    return content.count == size ? content : nil
  }
}
