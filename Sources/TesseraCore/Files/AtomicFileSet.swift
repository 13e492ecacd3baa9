import Foundation

/// Several output files that appear together, one of them last: it makes the others count.
///
/// That one, such as the index of shards or the weights of a folder, is the commit point: whoever looks
/// before finds nothing, whoever looks after finds all. Where older files of these names are replaced,
/// they are gone before the first new one appears: no reader finds new ones beside old ones.
package struct AtomicFileSet: ~Copyable {
  private var others: [SealedFile] = []

  /// A finished file with its owner's lock.
  private final class SealedFile {
    let path: String
    private var file: PartialFile?

    init(_ file: consuming PartialFile, path: String) {
      self.path = path
      self.file = consume file
    }

    func rename() throws(TesseraError) {
      guard let file = file.take() else { return }
      try file.rename()
    }
  }

  /// Creates an empty set.
  package init() {}

  /// Takes a file whose bytes are all written.
  package mutating func add(_ file: consuming AtomicFile) throws(TesseraError) {
    let path = file.path
    others.append(SealedFile(try file.sealed(), path: path))
  }

  /// Renames every file, `last` after the others; where one cannot be renamed, none stays under its
  /// final name.
  ///
  /// - Parameters:
  ///   - last: The file that makes the others count.
  ///   - obsolete: Files of an older set of which nothing is to be left.
  /// - Throws: `TesseraError`.
  package consuming func commit(
    with last: consuming AtomicFile,
    replacing obsolete: [String] = []
  ) throws(TesseraError) {
    let lastPath = last.path
    let final = SealedFile(try last.sealed(), path: lastPath)
    let others = others
    let folders = Set((others.map(\.path) + [lastPath]).map(AtomicFile.folder))
    try Interruption.protect { () throws(TesseraError) in
      if !others.isEmpty || !obsolete.isEmpty {
        try Self.remove([lastPath] + others.map(\.path) + obsolete, in: folders)
      }
      var published: [String] = []
      do throws(TesseraError) {
        for file in others {
          try file.rename()
          published.append(file.path)
        }
        for folder in folders where !others.isEmpty { try OutputFolder.synchronize(folder) }
        try final.rename()
      } catch {
        for path in published { _ = unsafe unlink(path) }
        throw error
      }
      try OutputFolder.synchronize(AtomicFile.folder(of: lastPath))
    }
  }

  /// Removes the files that are there, the one that makes the others count before these.
  private static func remove(_ paths: [String], in folders: Set<String>) throws(TesseraError) {
    var hasRemoved = false
    for path in paths {
      guard unsafe unlink(path) != 0 else {
        hasRemoved = true
        continue
      }
      guard errno == ENOENT else {
        throw TesseraError.system("replace the file", path, errno)
      }
    }
    if hasRemoved { for folder in folders { try OutputFolder.synchronize(folder) } }
  }
}
