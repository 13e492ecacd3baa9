import Foundation
package import TesseraCore

/// Names of tokens with their ids, as `vocabulary_map` of a model's `config.json` has them: Chameleon
/// keeps those of its codes there.
package struct VocabularyMap: Sendable {
  /// The SHA-256 of the file, 64 hexadecimal digits.
  package let sha256: String
  let ids: [String: Int32]

  /// The largest file that is read.
  private static let largest = 1 << 26

  private struct Configuration: Decodable {
    let map: [String: Int]

    enum CodingKeys: String, CodingKey {
      case map = "vocabulary_map"
    }
  }

  /// Reads a file.
  ///
  /// - Throws: `TesseraError` where it holds no such map.
  package init(path: String) throws(TesseraError) {
    let bytes: [UInt8]
    do {
      bytes = try FileDigest.bytes(of: path, maximumBytes: Self.largest)
    } catch {
      throw TesseraError(.inputOutput, error.description)
    }
    guard let map = try? JSONDecoder().decode(Configuration.self, from: Data(bytes)).map else {
      throw TesseraError.malformed(
        "\(path): no 'vocabulary_map' of names and whole numbers; take the model's config.json"
      )
    }
    guard !map.isEmpty, Set(map.values).count == map.count else {
      throw TesseraError.malformed("\(path): its 'vocabulary_map' is empty or gives an id twice")
    }
    var ids: [String: Int32] = [:]
    for (name, id) in map {
      guard id >= 0, let id = Int32(exactly: id) else {
        throw TesseraError.limit("\(path): the id \(id) of '\(name)' is no int32")
      }
      ids[name] = id
    }
    self.ids = ids
    sha256 = FileDigest.sha256(of: bytes)
  }

  /// The tokens whose names are a number between a prefix and a suffix, by that number.
  func numberedTokens(_ names: NumberedNames) -> [Int: Int32] {
    var found: [Int: Int32] = [:]
    for (name, id) in ids {
      if let number = names.number(of: Array(name.utf8)) { found[number] = id }
    }
    return found
  }
}
