import Foundation

/// JSON whose bytes depend on the value alone: keys sorted, slashes plain, one trailing newline.
package enum CanonicalJSON {
  /// One value on one line, ending in a newline.
  package static func line(_ value: some Encodable) throws -> [UInt8] {
    try encode(value, formatting: [.sortedKeys, .withoutEscapingSlashes])
  }

  /// One value as an indented document, ending in a newline.
  package static func document(_ value: some Encodable) throws -> [UInt8] {
    try encode(value, formatting: [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted])
  }

  /// Reads one value.
  package static func decode<Value: Decodable>(
    _ type: Value.Type,
    from bytes: some Sequence<UInt8>
  ) throws -> Value {
    try JSONDecoder().decode(type, from: Data(bytes))
  }

  private static func encode(
    _ value: some Encodable,
    formatting: JSONEncoder.OutputFormatting
  ) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = formatting
    return [UInt8](try encoder.encode(value)) + [UInt8(ascii: "\n")]
  }
}
