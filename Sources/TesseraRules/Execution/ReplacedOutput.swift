import Foundation
import TesseraCheckpoints
package import TesseraCore

/// The rule for files that stand where a conversion writes: what an earlier one wrote is replaced,
/// anybody else's only where the user says so.
package enum ReplacedOutput {
  /// Makes sure that a file of others is not lost where one is written.
  ///
  /// - Throws: `TesseraError`.
  package static func check(_ file: String) throws(TesseraError) {
    try check([file], companions: [])
  }

  /// Makes sure that nothing of others is lost.
  ///
  /// - Parameters:
  ///   - files: The checkpoint's files and its index.
  ///   - companions: Files beside them, which belong to whoever wrote those.
  /// - Throws: `TesseraError`.
  static func check(_ files: [String], companions: [String]) throws(TesseraError) {
    let present = files.filter { FileManager.default.fileExists(atPath: $0) }
    let beside = present.isEmpty ? companions : []
    let other =
      present.first { !isOwn($0) }
      ?? beside.first { FileManager.default.fileExists(atPath: $0) }
    if let other {
      throw TesseraError.mismatch(
        "exists, and no conversion wrote it; name another output, or replace it with --force",
        file: other
      )
    }
  }

  /// Whether a file says that this program wrote it.
  private static func isOwn(_ path: String) -> Bool {
    guard let checkpoint = try? Checkpoint.open(path) else { return false }
    return checkpoint.attributes.keys.contains { $0.hasPrefix("tessera.") }
  }
}
