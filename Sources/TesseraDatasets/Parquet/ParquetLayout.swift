package import TesseraCore

/// What a reader and a writer of Parquet share: the numbers of the format that are used here.
package enum ParquetLayout {
  /// The first and the last four bytes of a file.
  package static let magic = Array("PAR1".utf8)
  /// The codecs of pages that are not compressed, and of those that are.
  package static let plainCodec = 0
  static let snappyCodec = 1
  static let gzipCodec = 2
  package static let zstdCodec = 6

  /// What a codec is called.
  static func codecName(_ codec: Int) -> String {
    let names = ["none", "snappy", "gzip", "LZO", "brotli", "LZ4", "zstd", "LZ4"]
    return names.indices.contains(codec) ? names[codec] : "codec \(codec)"
  }
  /// The name of the column of keys.
  package static let key = "key"

  /// A physical type, and what its numbers mean; text is a byte array of UTF-8.
  package struct Kind: Sendable {
    package let physical: Int
    package let converted: Int?
    /// The type whose bytes are stored.
    package let stored: ElementType?
  }

  /// The kind of a column's elements; nil for a type that the format lacks.
  package static func kind(of type: ElementType?) -> Kind? {
    switch type {
    case nil: Kind(physical: 6, converted: 0, stored: nil)
    case .bool?, .uint8?: Kind(physical: 1, converted: 11, stored: .int32)
    case .int8?: Kind(physical: 1, converted: 15, stored: .int32)
    case .int16?: Kind(physical: 1, converted: 16, stored: .int32)
    case .int32?: Kind(physical: 1, converted: nil, stored: .int32)
    case .int64?: Kind(physical: 2, converted: nil, stored: .int64)
    case .float32?: Kind(physical: 4, converted: nil, stored: .float32)
    case .float64?: Kind(physical: 5, converted: nil, stored: .float64)
    default: nil
    }
  }
}

/// What a file of Parquet may still unpack to: a few bytes can stand for gigabytes, and many groups of
/// rows can name the same few.
struct ParquetAllowance {
  private var bytes: Int
  private var rows: Int

  /// What the rows of a file of so many bytes may take, unpacked.
  init(ofFileOf length: Int, atLeast least: Int = 1 << 27) {
    let (scaled, overflow) = length.multipliedReportingOverflow(by: 100)
    bytes = overflow ? .max : max(scaled, least)
    rows = overflow ? .max : (1 << 16) + 4 * length
  }

  /// Counts bytes that a page unpacks to, or that its values take beside.
  mutating func take(bytes count: Int, place: String) throws {
    guard count <= bytes else {
      throw TesseraError.malformed(
        "unpacks to more than a file of its size may: a bomb, or no file of texts",
        file: place
      )
    }
    bytes -= count
  }

  /// Counts rows.
  mutating func take(rows count: Int, place: String) throws {
    guard count <= rows else {
      throw TesseraError.malformed("claims more rows than its bytes can hold", file: place)
    }
    rows -= count
  }
}

/// The features of Hugging Face `datasets`, which say what each column is.
package enum HuggingFaceFeatures {
  /// Its name of a type; nil for one that it lacks.
  package static func name(of type: ElementType?) -> String? {
    switch type {
    case nil: "string"
    case .bool?, .uint8?: "uint8"
    case .int8?: "int8"
    case .int16?: "int16"
    case .int32?: "int32"
    case .int64?: "int64"
    case .float32?: "float32"
    case .float64?: "float64"
    default: nil
    }
  }

  /// The features of columns as JSON.
  ///
  /// Lists are called by the name that every version of `datasets` reads: `List` came with 4.0, which takes
  /// `Sequence` for the same.
  package static func json(_ columns: [(name: String, type: ElementType?, rank: Int)]) -> String {
    let features = columns.map { column in
      var value = "{\"dtype\": \"\(name(of: column.type) ?? "null")\", \"_type\": \"Value\"}"
      for _ in 0..<column.rank { value = "{\"feature\": \(value), \"_type\": \"Sequence\"}" }
      var quoted: [UInt8] = []
      JSONBytes.appendQuoted(Array(column.name.utf8), to: &quoted)
      return "\(String(decoding: quoted, as: UTF8.self)): \(value)"
    }
    return "{\"info\": {\"features\": {\(features.joined(separator: ", "))}}}"
  }
}
