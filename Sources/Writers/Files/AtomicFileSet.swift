import Foundation
public import Readers

/// Several output files that appear together: all finished first, then renamed in the order in
/// which they were added.
///
/// Put the file that makes the others findable, such as a shard index, last.
public struct AtomicFileSet: ~Copyable {
  private var sealed: [(partial: String, final: String)] = []

  /// Creates an empty set.
  public init() {}

  /// Takes a file whose bytes are all written.
  public mutating func add(_ file: consuming AtomicFile) throws(FileError) {
    sealed.append(try file.seal())
  }

  /// Renames every file; where one cannot be renamed, none stays under its final name.
  public consuming func commit() throws(FileError) {
    for (index, file) in sealed.enumerated() where unsafe rename(file.partial, file.final) != 0 {
      let code = errno
      for published in sealed[..<index] { _ = unsafe unlink(published.final) }
      sealed.removeFirst(index)
      throw FileError(operation: "rename the finished file", path: file.final, code: code)
    }
    let last = sealed.last?.final
    sealed = []
    if let last { try AtomicFile.synchronizeFolder(of: last) }
  }

  deinit {
    for file in sealed { _ = unsafe unlink(file.partial) }
  }
}
