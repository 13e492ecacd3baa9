import TesseraCore

/// The index of a checkpoint in several files: `{"metadata": {…}, "weight_map": {name: file}}`.
struct SafetensorsIndex {
  /// The ending of an index's name.
  static let suffix = ".safetensors.index.json"

  let path: String
  /// Which shard holds a tensor.
  let shardOfTensor: [String: String]
  /// The scalars under `metadata` as text, such as `total_size`.
  let metadata: [String: String]

  /// The names of the shards in ascending order.
  var shards: [String] {
    Set(shardOfTensor.values).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  init(path: String) throws {
    let region = try FileRegion(path: path)
    if let words = try FailedDownload.words(for: region) {
      throw TesseraError.malformed(words, file: path)
    }
    guard region.length <= SafetensorsHeader.byteLimit else {
      throw TesseraError.malformed("an index of \(region.length) bytes is too large", file: path)
    }
    var shardOfTensor: [String: String] = [:]
    var metadata: [String: String] = [:]
    var hasMap = false
    do {
      try JSONScanner.read(try region.bytes(0..<region.length)) { scanner in
        try scanner.object { scanner, key in
          switch key {
          case "weight_map":
            hasMap = true
            try scanner.object { scanner, name in shardOfTensor[name] = try scanner.string() }
          case "metadata": metadata = try SafetensorsIndex.scalars(&scanner)
          default: try scanner.skip()
          }
        }
      }
    } catch let failure as JSONScanner.Failure {
      throw TesseraError.malformed(failure.cause, file: path, place: "byte \(failure.offset)")
    }
    guard hasMap else { throw TesseraError.malformed("has no weight_map", file: path) }
    (self.path, self.shardOfTensor, self.metadata) = (path, shardOfTensor, metadata)
  }

  private static func scalars(_ scanner: inout JSONScanner) throws -> [String: String] {
    guard scanner.next == UInt8(ascii: "{") else {
      try scanner.skip()
      return [:]
    }
    var values: [String: String] = [:]
    try scanner.object { scanner, key in
      switch scanner.next {
      case UInt8(ascii: "\""): values[key] = try scanner.string()
      case UInt8(ascii: "{"), UInt8(ascii: "["): try scanner.skip()
      default: values[key] = try scanner.literal()
      }
    }
    return values
  }

  /// The path of a shard, which must lie in the folder of the index.
  func path(ofShard name: String) throws -> String {
    func refusal(_ cause: String) -> TesseraError {
      TesseraError.malformed(cause, file: path, place: "shard '\(name)'")
    }
    let separators = [UInt8(ascii: "/"), UInt8(ascii: "\\")]
    guard SafePath.isInside(name), !name.utf8.contains(where: separators.contains) else {
      throw refusal("must be the name of a file in the folder of the index")
    }
    return try SafePath.path(of: name, beside: path, refusal: refusal)
  }
}
