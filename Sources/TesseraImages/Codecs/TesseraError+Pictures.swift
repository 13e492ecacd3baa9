public import TesseraCore

extension TesseraError {
  /// What is wrong with a picture; each says what to do.
  public enum PictureFault: Sendable, Hashable {
    /// Bytes that no encoder writes.
    case malformed
    /// The content ends before the picture does.
    case truncated
    /// A kind of picture that is not read.
    case unsupported
    /// More pixels or bytes than the limit.
    case overLimit
    /// The machine has not enough memory.
    case noMemory
    /// A picture that preprocessing cannot take.
    case unfit
  }

  /// An error of decoding or preprocessing a picture.
  public static func picture(_ fault: PictureFault, _ words: String) -> TesseraError {
    switch fault {
    case .malformed: .malformed("\(words); the file is damaged, fetch it again or leave it out")
    case .truncated:
      TesseraError(
        .malformedInput,
        "\(words); fetch it again, or allow partial rows",
        detail: .truncated
      )
    case .unsupported: .malformed("\(words); convert it to an 8-bit JPEG or a PNG")
    case .overLimit: .malformed("\(words); scale it down or raise the limit")
    case .noMemory: TesseraError(.inputOutput, "\(words); free some, or use fewer --workers")
    case .unfit: TesseraError(.mismatch, words, detail: .unfit)
    }
  }

  /// The words that a C target left in an array of characters, up to the first NUL.
  static func words<Characters>(in text: Characters) -> String {
    unsafe withUnsafeBytes(of: text) { text in
      unsafe String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
    }
  }
}
