import Foundation

/// An error that a user can act on: one line that names the file, the place in it, the cause and what to do.
///
/// Whatever a user is told is of this one type; the program prints ``description`` and exits with the code of
/// ``kind``.
public struct TesseraError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The kind of failure, which decides the exit code.
  public let kind: FailureKind
  /// The file, folder or input as the user named it; empty where the thrower knows values and no files.
  public var file: String
  /// The tensor, record, sample, line or byte in the file; empty for the whole of it.
  public var place: String
  /// What is wrong, and mostly what to do.
  public var cause: String
  /// What callers decide by, beyond the kind.
  public var detail: Detail?

  /// What callers decide by.
  public enum Detail: Hashable, Sendable {
    /// The `errno` of a call to the system.
    case system(Int32)
    /// The element at fault in a block of values, and how many elements a position of it has, where they count
    /// as its dimensions. Callers that know where the block lies move it.
    case element(Int, dimensions: Int?)
    /// The place is the name of a network's parameter.
    case parameter
    /// The position at fault in a block of values.
    case position(Int)
    /// An input ends before its content does.
    case truncated
    /// A picture that preprocessing cannot take.
    case unfit
    /// One document is at fault, and not the settings of a run.
    case document
    /// An array of Python's objects, which are pickled.
    case pickled
    /// An array of a type that no tensor has.
    case elementType
    /// An array of texts, dates or records, which no tensor stands for.
    case noNumbers
  }

  /// Creates an error.
  ///
  /// - Parameters:
  ///   - kind: The kind of failure.
  ///   - cause: What is wrong and what to do.
  ///   - file: The file, folder or input.
  ///   - place: The place in it.
  ///   - detail: What callers decide by.
  public init(
    _ kind: FailureKind,
    _ cause: String,
    file: String = "",
    place: String = "",
    detail: Detail? = nil
  ) {
    (self.kind, self.cause, self.file, self.place) = (kind, cause, file, place)
    self.detail = detail
  }

  /// Input that is malformed or unsafe to read.
  public static func malformed(
    _ cause: String,
    file: String = "",
    place: String = ""
  ) -> TesseraError {
    TesseraError(.malformedInput, cause, file: file, place: place)
  }

  /// Names, shapes or settings that do not fit together.
  public static func mismatch(
    _ cause: String,
    file: String = "",
    place: String = ""
  ) -> TesseraError {
    TesseraError(.mismatch, cause, file: file, place: place)
  }

  /// A number beyond the range in which the result would be right.
  public static func limit(_ cause: String, file: String = "", place: String = "") -> TesseraError {
    TesseraError(.numericLimit, cause, file: file, place: place)
  }

  /// A refusal of the operating system, in its own words: `x: could not open: No such file or directory`.
  ///
  /// - Parameters:
  ///   - operation: What was attempted, such as `open`.
  ///   - path: The path as the user gave it.
  ///   - code: The `errno` of the failed call.
  /// - Returns: The error.
  public static func system(_ operation: String, _ path: String, _ code: Int32) -> TesseraError {
    let words = unsafe String(cString: strerror(code))
    return TesseraError(
      .inputOutput,
      "could not \(operation): \(words)",
      file: path,
      detail: .system(code)
    )
  }

  /// File, place and cause on one line.
  ///
  /// Names come from files: control characters must not reach a terminal or break the line.
  public var description: String {
    [file, place, cause].filter { !$0.isEmpty }.joined(separator: ": ").oneLine
  }
}

extension TesseraError {
  /// Whether the machine is at fault, and not what was read: another attempt may succeed.
  ///
  /// Only what is wrong with an input's content rejects it: malformed or unsafe data, a mismatch with
  /// the rules, a number beyond a limit. A file that cannot be opened or read, a mount that is gone, a
  /// want of memory or of descriptors say nothing of it: the run stops and may be continued.
  public var isMachineFault: Bool { kind == .inputOutput }

  /// The `errno` of a call to the system; 0 where no call failed.
  public var code: Int32 { if case .system(let code)? = detail { code } else { 0 } }

  /// Whether the error says what the path names, as the next attempt will find it again: nothing, or no
  /// regular file.
  public var isAboutPath: Bool {
    [ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG, EISDIR, EINVAL, EFBIG].contains(code)
  }

  /// The error with the name of the file, where the thrower did not know it.
  public func `in`(_ file: String) -> TesseraError {
    var error = self
    if error.file.isEmpty { error.file = file }
    return error
  }

  /// The error with the place, where the thrower did not know it.
  public func at(_ place: String) -> TesseraError {
    var error = self
    if error.place.isEmpty { error.place = place }
    return error
  }

  /// Runs `body`, adding the file's name to what it throws.
  public static func naming<Value>(
    _ file: String,
    _ body: () throws -> Value
  ) throws -> Value {
    do {
      return try body()
    } catch let error as TesseraError {
      throw error.in(file)
    }
  }
}
