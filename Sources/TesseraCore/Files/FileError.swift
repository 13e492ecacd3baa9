import Foundation

/// A refusal of the operating system, in its own words: `could not open 'x': No such file`.
public struct FileError: ClassifiedError, Hashable {
  /// What was attempted, such as `open`.
  public let operation: String
  /// The path as the user gave it.
  public let path: String
  /// The `errno` of the failed call.
  public let code: Int32

  /// Creates an error from the operation, its path and an `errno`.
  public init(operation: String, path: String, code: Int32) {
    self.operation = operation
    self.path = path
    self.code = code
  }

  /// Always a failure of input or output.
  public var kind: FailureKind { .inputOutput }

  /// Whether the error says what the path names, as the next attempt will find it again: nothing, or no
  /// regular file.
  public var isAboutPath: Bool {
    [ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG, EISDIR, EINVAL, EFBIG].contains(code)
  }

  /// One sentence with the system's reason.
  public var description: String {
    "\(path): could not \(operation): \(unsafe String(cString: strerror(code)))"
  }
}
