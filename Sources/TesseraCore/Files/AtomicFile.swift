import CFiles
import Foundation

/// An output file that appears under its name complete or not at all.
///
/// Bytes go to a hidden `.partial-…` file in the same folder; ``commit()`` makes them durable and
/// renames. A file that is dropped without a commit, because an error was thrown, takes its partial
/// file with it; what a killed run left, the next run to the same path takes over. Of two runs at once
/// the second is refused.
package struct AtomicFile: ~Copyable {
  /// The final path, as the user gave it; errors name this one.
  package let path: String
  private var partial: PartialFile
  /// Whether a file of this name is one that is not complete.
  package static func isPartial(_ name: String) -> Bool { PartialFile.isOwn(name) }
  /// Where the bytes are until the rename.
  package var partialPath: String { partial.path }
  private var descriptor: Int32 { partial.descriptor }
  /// The position of the next sequential write, so the number of bytes written that way.
  package private(set) var position = 0

  /// Creates the partial file beside `path`.
  ///
  /// - Parameters:
  ///   - path: Where the file will be.
  ///   - inputs: Files that this run reads; none of them may be the output.
  ///   - claim: The name that stands for the output in all its forms, such as one file or an index of
  ///     several: of two runs at once with one claim the second is refused. The file's own without it.
  /// - Throws: `TesseraError` where `path` is one of the inputs, or where the folder is
  ///   missing or not writable, or `path` is something other than a regular file, or
  ///   where another run is writing it, or where it lies in a
  ///   dataset.
  package init(path: String, reading inputs: [String] = [], claiming claim: String? = nil) throws {
    try AtomicFile.checkTarget(path, inputs: inputs)
    self.init(path: path, try PartialFile(for: path, claiming: claim, isShared: false))
  }

  /// Creates the partial file of a run that makes or owns the dataset in which `path` lies.
  ///
  /// - Parameters:
  ///   - path: Where the file will be.
  ///   - inputs: Files that this run reads; none of them may be the output.
  ///   - isShared: Whether several runs may write this file at once, each of them the same bytes.
  /// - Throws: As ``init(path:reading:claiming:)``, wherever the file lies.
  package init(inDataset path: String, reading inputs: [String] = [], isShared: Bool) throws {
    try AtomicFile.checkFile(path, inputs: inputs)
    self.init(path: path, try PartialFile(for: path, isShared: isShared))
  }

  private init(path: String, _ partial: consuming PartialFile) {
    self.path = path
    self.partial = partial
  }

  /// Sets the size at once, so that a disk too small is found before any work.
  package func reserve(byteCount: Int) throws(TesseraError) {
    guard byteCount > 0 else { return }
    let code = posix_fallocate(descriptor, 0, off_t(byteCount))
    guard code == 0 else {
      throw TesseraError.system("reserve \(byteCount) bytes", path, code)
    }
  }

  /// Writes at the current position and moves it on.
  package mutating func write(_ bytes: [UInt8]) throws(TesseraError) {
    let written = unsafe bytes.withUnsafeBytes { buffer in
      Result { () throws(TesseraError) in try unsafe write(buffer) }
    }
    try written.get()
  }

  /// Writes a buffer at the current position and moves it on.
  package mutating func write(_ buffer: UnsafeRawBufferPointer) throws(TesseraError) {
    try unsafe write(buffer, at: position)
    position += buffer.count
  }

  /// Writes a buffer at an offset, in bytes, without moving the position; for data that arrives out
  /// of order.
  package func write(_ buffer: UnsafeRawBufferPointer, at offset: Int) throws(TesseraError) {
    var done = 0
    while done < buffer.count {
      let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[done...])
      let count = unsafe pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset + done))
      if count < 0 {
        if errno == EINTR { continue }
        throw failure("write")
      }
      done += count
    }
    if buffer.count >= AtomicFile.leastStarted { startWriting(buffer.count, at: offset) }
  }

  /// The disk is told of writes of this size at once, so that it works while the next are computed.
  private static let leastStarted = 1 << 20

  private func startWriting(_ count: Int, at offset: Int) {
    cfiles_start_writing(descriptor, Int64(offset), Int64(count))
  }

  /// Writes bytes at an offset, without moving the position.
  package func write(_ bytes: [UInt8], at offset: Int) throws(TesseraError) {
    let written = unsafe bytes.withUnsafeBytes { buffer in
      Result { () throws(TesseraError) in try unsafe write(buffer, at: offset) }
    }
    try written.get()
  }

  /// Copies bytes of another open file to an offset, inside of the kernel.
  ///
  /// - Returns: How many bytes from the start on were copied: fewer than asked for where the systems
  ///   of the two files do not work together, or the other file is shorter.
  /// - Throws: `TesseraError` where the disk is full or fails.
  package func copy(
    _ count: Int,
    from source: Int32,
    at sourceOffset: Int,
    to offset: Int
  ) throws(TesseraError) -> Int {
    var done = 0
    while done < count {
      let (from, to) = (Int64(sourceOffset + done), Int64(offset + done))
      let copied = cfiles_copy(source, from, descriptor, to, count - done)
      if copied < 0, errno == EINTR { continue }
      if copied < 0, [ENOSPC, EIO, EFBIG, EDQUOT].contains(errno) { throw failure("write") }
      if copied <= 0 { break }
      done += copied
    }
    startWriting(done, at: offset)
    return done
  }

  /// Reads back bytes that have been written.
  package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(TesseraError)
  {
    var done = 0
    while done < buffer.count {
      let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
      let count = unsafe pread(descriptor, rest.baseAddress, rest.count, off_t(offset + done))
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw failure("read back") }
      done += count
    }
  }

  /// Makes the bytes durable and gives the file its name, replacing an older one.
  package consuming func commit() throws(TesseraError) {
    let path = path
    try sealed().rename()
    try OutputFolder.synchronize(AtomicFile.folder(of: path))
  }

  /// Makes the bytes durable and leaves the renaming, or the removal, to the caller.
  consuming func sealed() throws(TesseraError) -> PartialFile {
    guard fsync(descriptor) == 0 else { throw failure("write") }
    return partial
  }

  private func failure(_ operation: String) -> TesseraError {
    TesseraError.system(operation, path, errno)
  }
}

extension AtomicFile {
  /// Removes what killed runs left in a folder of outputs; what others are writing stays.
  ///
  /// - Throws: `TesseraError`.
  package static func removeAbandoned(in folder: String) throws(TesseraError) {
    try PartialFile.removeAbandoned(in: folder)
  }

  /// Refuses an output that is an input, no regular file, or in a dataset.
  package static func checkTarget(_ path: String, inputs: [String]) throws {
    try checkFile(path, inputs: inputs)
    try OutputFolder.refuseDataset(around: path)
  }

  /// Refuses an output that is an input, or no regular file.
  private static func checkFile(_ path: String, inputs: [String]) throws {
    var target = stat()
    guard unsafe stat(path, &target) == 0 else { return }
    guard target.st_mode & S_IFMT != S_IFDIR else {
      throw TesseraError.system("replace the folder by a file", path, EISDIR)
    }
    guard target.st_mode & S_IFMT == S_IFREG else {
      throw TesseraError.system("replace what is no regular file", path, EINVAL)
    }
    for input in inputs {
      var source = stat()
      guard unsafe stat(input, &source) == 0 else { continue }
      if source.st_dev == target.st_dev && source.st_ino == target.st_ino {
        throw TesseraError(
          .inputOutput,
          "this is the input '\(input)' itself; name another output",
          file: path
        )
      }
    }
  }

  package static func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "" : String(path[..<slash])
  }

  /// The path of a file beside another.
  package static func sibling(_ name: String, of path: String) -> String {
    (path.lastIndex(of: "/").map { String(path[...$0]) } ?? "") + name
  }

  package static func name(of path: String) -> String {
    path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
  }
}
