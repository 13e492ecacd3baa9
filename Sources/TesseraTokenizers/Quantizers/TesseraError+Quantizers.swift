public import TesseraCore

extension TesseraError {
  /// A latent that is infinite or not a number, at an index into the flat array of latents.
  public static func notFinite(index: Int, dimensions: Int) -> TesseraError {
    located(
      "the latent is infinite or not a number; look for an overflow in the encoder",
      .element(index, dimensions: dimensions)
    )
  }

  /// Scores that leave the range of float32, at a position.
  public static func overflow(position: Int) -> TesseraError {
    located(
      "the latents are so large that their distances to the codes leave the range of float32; look for "
        + "an overflow in the encoder",
      .position(position)
    )
  }

  /// A code beyond the vocabulary, at an index into the flat array of codes.
  public static func codeOutOfRange(
    code: UInt64,
    index: Int,
    vocabularySize: UInt64
  ) -> TesseraError {
    located(
      "the code is \(code) and the vocabulary ends at \(vocabularySize - 1); remove a vocabulary offset, "
        + "or name the quantizer that made the codes",
      .element(index, dimensions: nil)
    )
  }

  /// A digit beyond the levels of its dimension, at an index into the flat array of digits.
  public static func digitOutOfRange(digit: UInt64, index: Int, dimensions: Int) -> TesseraError {
    located(
      "the digit is \(digit), more than its levels; name the quantizer that made the digits",
      .element(index, dimensions: dimensions)
    )
  }

  /// An error of one element, whose place follows from its index.
  private static func located(_ cause: String, _ detail: Detail) -> TesseraError {
    TesseraError(.numericLimit, cause, detail: detail).placed()
  }

  private func placed() -> TesseraError {
    var error = self
    switch detail {
    case .element(let index, let dimensions?):
      error.place = "position \(index / dimensions), dimension \(index % dimensions)"
    case .element(let index, nil), .position(let index): error.place = "position \(index)"
    default: break
    }
    return error
  }

  static func check(_ code: UInt32, at index: Int, vocabularySize: Int) throws(TesseraError) {
    guard code < vocabularySize else {
      throw .codeOutOfRange(
        code: UInt64(code),
        index: index,
        vocabularySize: UInt64(vocabularySize)
      )
    }
  }

  /// The same error for a block of values that starts at a position of a whole array.
  public func moved(by position: Int) -> TesseraError {
    var error = self
    switch detail {
    case .element(let index, let dimensions):
      error.detail = .element(index + position * (dimensions ?? 1), dimensions: dimensions)
    case .position(let index): error.detail = .position(index + position)
    default: break
    }
    return error.placed()
  }

  /// The same error for a block that is some columns of a wider one.
  func inColumns(_ columns: Range<Int>, of width: Int) -> TesseraError {
    guard case .element(let index, let dimensions)? = detail else { return self }
    let whole = index / columns.count * width + columns.lowerBound + index % columns.count
    var error = self
    error.detail = .element(whole, dimensions: dimensions.map { _ in width })
    return error.placed()
  }

  /// Runs `body` on a block of a file that starts at a position; its errors then count from the file's
  /// start, and name the file.
  public static func naming<Value>(
    _ file: String,
    from position: Int,
    _ body: () throws(TesseraError) -> Value
  ) throws -> Value {
    do {
      return try body()
    } catch {
      throw error.moved(by: position).in(file)
    }
  }
}
