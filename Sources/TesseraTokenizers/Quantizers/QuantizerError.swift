public import TesseraCore

/// A quantizer that cannot be, or values that it cannot take.
public enum QuantizerError: ClassifiedError, Hashable {
  /// A setting that no quantizer has: what is wrong, and what is known.
  case setting(String)
  /// A latent that is infinite or not a number, at an index into the flat array of latents.
  case notFinite(index: Int, dimensions: Int)
  /// Scores that leave the range of float32, at a position.
  case overflow(position: Int)
  /// A code that the vocabulary does not hold, at an index into the flat array of codes.
  case codeOutOfRange(code: UInt64, index: Int, vocabularySize: UInt64)
  /// A digit that its dimension does not hold, at an index into the flat array of digits.
  case digitOutOfRange(digit: UInt64, index: Int, dimensions: Int)
  /// Arrays that do not fit the quantizer's dimensions.
  case shape(String)

  /// Settings and shapes are mismatches; values out of range are numeric limits.
  public var kind: FailureKind {
    switch self {
    case .setting, .shape: .mismatch
    case .notFinite, .overflow, .codeOutOfRange, .digitOutOfRange: .numericLimit
    }
  }

  /// One line with the position and what to do.
  public var description: String {
    switch self {
    case .setting(let reason), .shape(let reason): reason
    case .notFinite(let index, let dimensions):
      "the latent at position \(index / dimensions), dimension \(index % dimensions) is infinite or "
        + "not a number; look for an overflow in the encoder"
    case .overflow(let position):
      "the latents at position \(position) are so large that their distances to the codes leave the "
        + "range of float32; look for an overflow in the encoder"
    case .codeOutOfRange(let code, let index, let vocabularySize):
      "the code at position \(index) is \(code) and the vocabulary ends at \(vocabularySize - 1); "
        + "remove a vocabulary offset, or name the quantizer that made the codes"
    case .digitOutOfRange(let digit, let index, let dimensions):
      "the digit at position \(index / dimensions), dimension \(index % dimensions) is \(digit), "
        + "more than its levels; name the quantizer that made the digits"
    }
  }

  /// Refuses a code that the vocabulary does not hold.
  static func check(
    _ code: UInt32,
    at index: Int,
    vocabularySize: Int
  ) throws(QuantizerError) {
    guard code < vocabularySize else {
      throw .codeOutOfRange(
        code: UInt64(code),
        index: index,
        vocabularySize: UInt64(vocabularySize)
      )
    }
  }

  /// The same error where the arrays are a block that begins at `position` of a larger one.
  ///
  /// For digits and latents the index is that of the value, `dimensions` a position.
  public func moved(by position: Int) -> QuantizerError {
    switch self {
    case .setting, .shape: self
    case .notFinite(let index, let dimensions):
      .notFinite(index: index + position * dimensions, dimensions: dimensions)
    case .overflow(let index): .overflow(position: index + position)
    case .codeOutOfRange(let code, let index, let vocabularySize):
      .codeOutOfRange(code: code, index: index + position, vocabularySize: vocabularySize)
    case .digitOutOfRange(let digit, let index, let dimensions):
      .digitOutOfRange(digit: digit, index: index + position * dimensions, dimensions: dimensions)
    }
  }

  /// The same error where the arrays are some of the `width` columns of larger ones.
  func inColumns(_ columns: Range<Int>, of width: Int) -> QuantizerError {
    func whole(_ index: Int) -> Int {
      index / columns.count * width + columns.lowerBound + index % columns.count
    }
    return switch self {
    case .setting, .shape, .overflow: self
    case .notFinite(let index, _): .notFinite(index: whole(index), dimensions: width)
    case .codeOutOfRange(let code, let index, let vocabularySize):
      .codeOutOfRange(code: code, index: whole(index), vocabularySize: vocabularySize)
    case .digitOutOfRange(let digit, let index, _):
      .digitOutOfRange(digit: digit, index: whole(index), dimensions: width)
    }
  }
}
