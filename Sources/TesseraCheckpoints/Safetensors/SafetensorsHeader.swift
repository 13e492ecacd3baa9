import TesseraCore

/// What a reader and a writer of safetensors share: the header's limits and its entries.
///
/// Layout: the header's length as a little-endian UInt64, that many bytes of JSON, then the data.
package struct SafetensorsHeader: Sendable {
  /// The longest header that the reference reader takes, in bytes.
  package static let byteLimit = 100_000_000
  /// The bytes before the JSON text.
  package static let lengthSize = 8
  /// The key that holds strings about the file instead of a tensor.
  package static let metadataKey = "__metadata__"

  /// A tensor and where its bytes lie, counted from the start of the data.
  package struct Entry: Sendable {
    package let tensor: TensorInfo
    package let bytes: Range<Int>
  }

  /// The tensors in the header's order.
  package let entries: [Entry]
  /// The strings of `__metadata__`.
  package let metadata: [String: String]

  /// Parses and checks the JSON text against the size of the data, in bytes.
  ///
  /// The tensors must cover the data from the first byte to the last without holes or overlaps, as
  /// the reference reader demands: nothing can hide in between.
  init(json: [UInt8], dataSize: Int, file: String) throws {
    guard json.first == UInt8(ascii: "{") else {
      throw TesseraError.malformed("does not start with '{'", file: file, place: "header")
    }
    var entries: [Entry] = []
    var metadata: [String: String] = [:]
    do {
      try JSONScanner.read(json) { scanner in
        try scanner.object { scanner, key in
          if key == SafetensorsHeader.metadataKey {
            metadata = try SafetensorsHeader.metadata(&scanner)
          } else {
            entries.append(try SafetensorsHeader.entry(named: key, &scanner, file: file))
          }
        }
      }
    } catch let failure as JSONScanner.Failure {
      let place = "header, byte \(failure.offset)"
      throw TesseraError.malformed(failure.cause, file: file, place: place)
    }
    try SafetensorsHeader.checkCoverage(of: entries, dataSize: dataSize, file: file)
    (self.entries, self.metadata) = (entries, metadata)
  }

  private static func metadata(_ scanner: inout JSONScanner) throws -> [String: String] {
    if scanner.next == UInt8(ascii: "n") {
      try scanner.skip()
      return [:]
    }
    var values: [String: String] = [:]
    try scanner.object { scanner, key in values[key] = try scanner.string() }
    return values
  }

  private static func entry(
    named name: String,
    _ scanner: inout JSONScanner,
    file: String
  ) throws -> Entry {
    func refusal(_ cause: String) -> TesseraError {
      TesseraError.malformed(cause, file: file, place: name)
    }
    var type: String?
    var shape: [Int]?
    var offsets: [Int]?
    try scanner.object { scanner, key in
      switch key {
      case "dtype": type = try scanner.string()
      case "shape": shape = try wholeNumbers(&scanner)
      case "data_offsets": offsets = try wholeNumbers(&scanner)
      default: try scanner.skip()
      }
    }
    guard let type, let shape, let offsets else {
      throw refusal("lacks one of dtype, shape, data_offsets")
    }
    guard let elementType = ElementType(rawValue: type), elementType.isSafetensorsType else {
      throw refusal("unknown dtype '\(type)'")
    }
    guard offsets.count == 2, offsets[0] <= offsets[1] else {
      throw refusal("data_offsets \(offsets) are no range")
    }
    let dimensions = Shape(shape)
    guard let count = dimensions.elementCount else { throw refusal("shape \(shape) overflows") }
    guard let size = elementType.byteCount(elements: count) else {
      throw refusal("\(type) of shape \(shape) is no whole number of bytes")
    }
    guard size == offsets[1] - offsets[0] else {
      throw refusal(
        "\(type) of shape \(shape) takes \(size) bytes, data_offsets \(offsets) hold "
          + "\(offsets[1] - offsets[0])"
      )
    }
    let tensor = TensorInfo(name: name, elementType: elementType, shape: dimensions)
    return Entry(tensor: tensor, bytes: offsets[0]..<offsets[1])
  }

  private static func wholeNumbers(_ scanner: inout JSONScanner) throws -> [Int] {
    var numbers: [Int] = []
    try scanner.array { scanner in numbers.append(try scanner.wholeNumber()) }
    return numbers
  }

  private static func checkCoverage(of entries: [Entry], dataSize: Int, file: String) throws {
    let sorted = entries.sorted {
      ($0.bytes.lowerBound, $0.bytes.upperBound) < ($1.bytes.lowerBound, $1.bytes.upperBound)
    }
    var end = 0
    for entry in sorted {
      let start = entry.bytes.lowerBound
      guard start == end else {
        let what = start > end ? "leaves a hole before" : "overlaps the bytes before"
        let cause = "starts at data byte \(start) and \(what) it; the one before ends at \(end)"
        throw TesseraError.malformed(cause, file: file, place: entry.tensor.name)
      }
      end = entry.bytes.upperBound
      guard end <= dataSize else {
        let cause = "ends at data byte \(end), but the file holds \(dataSize): it is cut off"
        throw TesseraError.malformed(cause, file: file, place: entry.tensor.name)
      }
    }
    guard end == dataSize else {
      throw TesseraError.malformed(
        "\(dataSize - end) bytes after the last tensor belong to none",
        file: file
      )
    }
  }
}

extension ElementType {
  /// Whether safetensors has this type; complex128 it has not.
  package var isSafetensorsType: Bool { self != .complex128 }
}
