import TesseraCore
import TesseraTokenizers

/// An error of a library that knows values and no files, with the file that held them.
struct FileProblem: ClassifiedError {
  let path: String
  let cause: any ClassifiedError

  var kind: FailureKind { cause.kind }
  var description: String { "\(path): \(cause)" }

  /// Runs `body`, adding the file's name to what it throws.
  static func naming<Value>(_ path: String, _ body: () throws -> Value) throws -> Value {
    do {
      return try body()
    } catch let error as any ClassifiedError {
      throw FileProblem(path: path, cause: error)
    }
  }

  /// Runs `body` on a block of a file that starts at a position; its errors then count from the file's
  /// start, and name the file.
  static func naming<Value>(
    _ path: String,
    from position: Int,
    _ body: () throws(QuantizerError) -> Value
  ) throws -> Value {
    do {
      return try body()
    } catch {
      throw FileProblem(path: path, cause: error.moved(by: position))
    }
  }
}
