/// Why a checkpoint of a known format cannot be read, in one line.
public struct CheckpointFormatError: ClassifiedError, Hashable {
  /// The file as the user named it.
  public let file: String
  /// The tensor, the record or the byte; empty for the file itself.
  public let place: String
  /// What is wrong and what to do.
  public let cause: String

  /// Creates an error about a place in a file.
  public init(file: String, place: String = "", cause: String) {
    self.file = file
    self.place = place
    self.cause = cause
  }

  /// Always a malformed or unsafe file.
  public var kind: FailureKind { .malformedInput }

  /// File, place and cause on one line.
  public var description: String { CheckpointFormatError.line(file, place, cause) }

  /// The parts that are not empty, on one line.
  ///
  /// Names come from the file: control characters must not reach a terminal or break the line.
  static func line(_ parts: String...) -> String {
    parts.filter { !$0.isEmpty }.joined(separator: ": ").unicodeScalars
      .reduce(into: "") { line, scalar in
        let isControl = scalar.properties.generalCategory == .control || scalar.value == 0x2028
        line += isControl ? scalar.escaped(asASCII: true) : String(scalar)
      }
  }
}
