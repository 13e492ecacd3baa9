import Foundation

/// JSON files that say what other files of a dataset hold; whatever is wrong with one is one line.
package enum ManifestFile {
  /// What to do about a damaged file of a finished dataset.
  private static let remedy = "this manifest is damaged: copy the dataset again, or make it again"

  /// Reads a file.
  ///
  /// - Throws: `TesseraError` that names the field at fault and what to do.
  package static func read<Value: Decodable>(
    _ type: Value.Type,
    at path: String,
    remedy: String = remedy
  ) throws -> Value {
    let region = try FileRegion(path: path)
    guard region.length <= ReadLimit.manifest else {
      throw TesseraError.malformed(
        "\(region.length) bytes are more than the \(ReadLimit.manifest) of a manifest",
        file: path
      )
    }
    return try decode(type, from: region.bytes(0..<region.length), of: path, remedy: remedy)
  }

  /// Reads a value out of bytes of a file.
  package static func decode<Value: Decodable>(
    _ type: Value.Type,
    from bytes: some Sequence<UInt8>,
    of place: String,
    remedy: String = remedy
  ) throws(TesseraError) -> Value {
    do {
      return try CanonicalJSON.decode(type, from: bytes)
    } catch let error as DecodingError {
      throw TesseraError.malformed("\(cause(of: error)); \(remedy)", file: place)
    } catch {
      throw TesseraError.malformed("\(error); \(remedy)", file: place)
    }
  }

  /// The field and what is wrong with it, as `the field 'shards[3].bytes' is missing`.
  package static func cause(of error: DecodingError) -> String {
    switch error {
    case .keyNotFound(let key, let context):
      "the field '\(path(context.codingPath + [key]))' is missing"
    case .typeMismatch(_, let context), .valueNotFound(_, let context):
      context.codingPath.isEmpty
        ? "it is no JSON object" : "the field '\(path(context.codingPath))' has another type"
    case .dataCorrupted(let context) where context.codingPath.isEmpty:
      context.underlyingError == nil
        ? oneLine(context.debugDescription) : "it is no JSON: cut short or changed"
    case .dataCorrupted(let context):
      "the field '\(path(context.codingPath))': \(oneLine(context.debugDescription))"
    @unknown default: "it cannot be understood"
    }
  }

  private static func path(_ keys: [any CodingKey]) -> String {
    keys.reduce(into: "") { path, key in
      if let index = key.intValue {
        path += "[\(index)]"
      } else {
        path += path.isEmpty ? key.stringValue : ".\(key.stringValue)"
      }
    }
  }

  private static func oneLine(_ text: String) -> String {
    // Swift's words for a word that is no case of an enumeration.
    if let known = text.range(of: "from invalid String value ") {
      return "'\(text[known.upperBound...])' is not known"
    }
    return text.split(whereSeparator: \.isNewline).joined(separator: " ")
  }
}

extension KeyedDecodingContainer {
  /// Reads a count, which others sum or divide by: 0 to 2^52, so that sums of two, or ten, stay in range.
  package func count(_ key: Key) throws -> Int {
    let value = try decode(Int.self, forKey: key)
    guard (0...1 << 52).contains(value) else {
      throw DecodingError.dataCorruptedError(
        forKey: key,
        in: self,
        debugDescription: "\(value) is out of range, 0 to 2^52"
      )
    }
    return value
  }

  /// Reads the path of a file in the folder of the manifest.
  package func path(_ key: Key) throws -> String {
    let name = try decode(String.self, forKey: key)
    if let fault = SafePath.fault(of: name) {
      throw DecodingError.dataCorruptedError(
        forKey: key,
        in: self,
        debugDescription: "'\(name.prefix(200))' is not below the folder: it \(fault)"
      )
    }
    return name
  }
}
