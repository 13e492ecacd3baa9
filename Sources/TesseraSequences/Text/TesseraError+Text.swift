import TesseraCore

extension TesseraError {
  /// A part of a tokenizer that is not known here.
  static func unsupported(_ part: String) -> TesseraError {
    .mismatch("\(part) is not supported; use a tokenizer without it, or give captions as ids")
  }

  /// A field of a tokenizer's file that is something else than it must be.
  static func field(_ name: String, _ expected: String) -> TesseraError {
    .malformed("the field '\(name)' is not \(expected)")
  }
}
